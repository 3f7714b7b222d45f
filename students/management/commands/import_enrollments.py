"""Command that imports enrollments from a CSV file."""

from bulk.commands.base import ImportCommand


class Command(ImportCommand):
    help = "Enroll, drop and complete from a CSV file that says how each student stands in each course."
    kind = "enrollments"
