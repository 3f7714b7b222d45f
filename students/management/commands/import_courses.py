"""Command that imports courses from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Create and update courses from a CSV file."
    examples = (
        "import_courses courses.csv --dry-run",
        "import_courses courses.csv --level introductory --report report.csv",
    )
    kind = "courses"
