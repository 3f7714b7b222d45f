"""Command that imports a zip of CSV files."""

from bulk.commands.base import ImportCommand
from bulk.models import ZIP


class Command(ImportCommand):
    help = "Import the students.csv, courses.csv and enrollments.csv of a zip, in this order, all or nothing."
    kind = ZIP
