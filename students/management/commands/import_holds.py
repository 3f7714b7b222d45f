"""Command that imports holds from a CSV file."""

from bulk.commands.import_command import ImportCommand


class Command(ImportCommand):
    help = "Place and release holds of students from a CSV file."
    examples = (
        "import_holds holds.csv --dry-run",
        "import_holds library.csv --dataset library --mode full --scope code:LIBRARY",
    )
    kind = "holds"
    scope_help = "The scope of a full file: all, or code:CODE for holds with this code."
    full_help = "delta (default): holds that are not in the file do not change. full: they are released."
