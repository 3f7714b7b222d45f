"""Command that imports the table of grades from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Create and update grades from a CSV file."
    examples = ("import_grades grades.csv --dry-run", "import_grades grades.csv --report report.csv")
    kind = "grades"
