"""Command that exports courses as CSV."""

from courses.export_command import TermExportCommand
from courses.exports import COURSES
from courses.models import Course


class Command(TermExportCommand):
    help = "Write courses as CSV, with the columns that import_courses reads."
    examples = ("export_courses --output courses.csv", "export_courses --term 2026F --output fall.csv")
    export = COURSES
    every_row = Course.objects.all()
    term_path = "term__code"
    term_help = "Export only courses of this term."
