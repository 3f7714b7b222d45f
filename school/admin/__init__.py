"""Admin pages for API clients, failed logins, staff users, and the record of access to personal data."""

from school.admin import access_log, api_clients, failed_logins, users

__all__ = ["access_log", "api_clients", "failed_logins", "users"]
