"""Admin of API clients, failed logins, staff users and the record of access to personal data."""

from school.admin import clients, logins, people, record

__all__ = ["clients", "logins", "people", "record"]
