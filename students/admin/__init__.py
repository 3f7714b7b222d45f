"""The admin for students, courses, enrollments, the journal and refusals."""

from students.admin import enrollments, journal, parties, refusals

__all__ = ["enrollments", "journal", "parties", "refusals"]
