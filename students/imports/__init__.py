"""Importers for files of students, courses and enrollments."""

from students.imports.enrollments import EnrollmentImporter
from students.imports.row_commands import STATUS_TO_ACTION
from students.imports.students import CourseWithSeatsImporter, StudentImporter

__all__ = ["STATUS_TO_ACTION", "CourseWithSeatsImporter", "EnrollmentImporter", "StudentImporter"]
