"""Command that imports a zip of CSV files."""

from bulk.commands.import_command import ImportCommand
from bulk.models import ZIP


class Command(ImportCommand):
    help = "Import the terms, grades, students, courses, holds and enrollments of a zip of CSV files, in this order."
    examples = ("import_zip school.zip --dry-run", "import_zip school.zip --on-error skip --level introductory")
    kind = ZIP
