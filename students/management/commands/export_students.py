"""Command that exports students as CSV."""

from courses.export_command import TermExportCommand
from students.exports import STUDENTS
from students.models import Student


class Command(TermExportCommand):
    help = "Write students as CSV, with the columns that import_students reads. Erased students are left out."
    examples = ("export_students --output students.csv --actor registrar", "export_students --term 2026F")
    export = STUDENTS
    every_row = Student.objects.all()
    term_path = "enrollments__course__term__code"
    term_help = "Export only students who have or had an enrollment in a course of this term."
