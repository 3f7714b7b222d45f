"""Command that imports students from a CSV file."""

from bulk.commands.base import ImportCommand


class Command(ImportCommand):
    help = "Create and update students from a CSV file."
    kind = "students"
