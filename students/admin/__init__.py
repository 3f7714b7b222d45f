"""The admin for students, courses, enrollments, the journal and refusals."""

from students.admin import enrollments, events, refusals, students_and_courses

__all__ = ["enrollments", "events", "refusals", "students_and_courses"]
