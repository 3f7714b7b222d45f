"""Command that imports enrollments from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Enroll, drop and complete from a CSV file with the status of each student in each course."
    examples = (
        "import_enrollments fall.csv --term 2026F --dry-run",
        "import_enrollments fall.csv --on-error skip --failed failed.csv --actor registrar",
        "import_enrollments fall.csv --mode full --scope term:2026F",
    )
    kind = "enrollments"
