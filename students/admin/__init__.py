"""The registrar's desk: students and courses, and the enrollments between them."""

from students.admin import enrollments, parties

__all__ = ["enrollments", "parties"]
