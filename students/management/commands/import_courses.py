"""Command that imports courses from a CSV file."""

from bulk.commands.base import ImportCommand


class Command(ImportCommand):
    help = "Create and update courses from a CSV file."
    kind = "courses"
