"""Command that imports terms from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Create and update terms from a CSV file."
    examples = ("import_terms terms.csv --dry-run", "import_terms terms.csv --report report.csv")
    kind = "terms"
