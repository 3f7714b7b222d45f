"""The registrar's desk: students and courses, and the enrollments between them."""

from students.admin import enrollments, journal, parties, refusals

__all__ = ["enrollments", "journal", "parties", "refusals"]
