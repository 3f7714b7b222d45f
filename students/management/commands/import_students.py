"""Command that imports students from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Create and update students from a CSV file."
    examples = (
        "import_students students.csv --dry-run",
        "import_students students.csv --on-error skip --failed failed.csv",
    )
    kind = "students"
