"""The ground of the apps: settings, HTTP, API, databases, accounts, access and the admin site."""
