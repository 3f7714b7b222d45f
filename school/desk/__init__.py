"""The admin's look and behavior: site, theme, row access, deletion and stale forms."""
