"""Command that imports enrollments from a CSV file."""

from bulk.commands.base import ImportCommand


class Command(ImportCommand):
    help = "Enroll, drop and complete from a CSV file with the status of each student in each course."
    kind = "enrollments"
