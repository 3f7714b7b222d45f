"""Importers for files of students, courses and enrollments."""

from students.imports.enrollments import EnrollmentImporter
from students.imports.parties import CourseWithSeatsImporter, StudentImporter
from students.imports.row_commands import STATUS_TO_ACTION

__all__ = ["STATUS_TO_ACTION", "CourseWithSeatsImporter", "EnrollmentImporter", "StudentImporter"]
