"""Command that imports students from a CSV file."""

from bulk.commands.base import ImportCommand


class Command(ImportCommand):
    help = "Add and change students from a CSV file."
    kind = "students"
