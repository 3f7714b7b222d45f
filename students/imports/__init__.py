"""Importers for files of terms, grades, students, courses, holds and enrollments."""

from students.imports.courses import CourseWithSeatsImporter
from students.imports.enrollments import EnrollmentImporter
from students.imports.grades import GradeWithWaitlistsImporter
from students.imports.holds import HoldImporter
from students.imports.row_commands import STATUS_TO_ACTION
from students.imports.students import StudentImporter
from students.imports.terms import TermWithWaitlistsImporter

__all__ = [
    "STATUS_TO_ACTION",
    "CourseWithSeatsImporter",
    "EnrollmentImporter",
    "GradeWithWaitlistsImporter",
    "HoldImporter",
    "StudentImporter",
    "TermWithWaitlistsImporter",
]
