"""Command that exports enrollments as CSV."""

from courses.export_command import TermExportCommand
from students.exports import ENROLLMENTS
from students.models import StudentCourse


class Command(TermExportCommand):
    help = (
        "Write the latest enrollment of each student in each course as CSV, with the columns that import_enrollments "
        "reads."
    )
    examples = ("export_enrollments --term 2026F --output fall.csv --actor registrar", "export_enrollments | gzip")
    export = ENROLLMENTS
    every_row = StudentCourse.objects.all()
    term_path = "course__term__code"
    term_help = "Export only enrollments in courses of this term."
