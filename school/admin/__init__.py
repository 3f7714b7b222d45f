"""Who gets in: programs, staff, and names that are locked out of logging in."""

from school.admin import clients, logins, people, record

__all__ = ["clients", "logins", "people", "record"]
