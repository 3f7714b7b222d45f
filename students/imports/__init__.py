"""The files of students, courses and enrollments: their columns, handing over to the verbs."""

from students.imports.enrollments import WISHES, EnrollmentImporter
from students.imports.parties import CourseWithSeatsImporter, StudentImporter

__all__ = ["WISHES", "CourseWithSeatsImporter", "EnrollmentImporter", "StudentImporter"]
