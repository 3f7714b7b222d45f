"""The admin for students, holds, courses, enrollments, the journal and refusals."""

from students.admin import enrollments, events, holds, refusal_log, students_and_courses

__all__ = ["enrollments", "events", "holds", "refusal_log", "students_and_courses"]
