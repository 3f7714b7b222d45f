"""Command that exports the table of grades as CSV."""

from typing import Any

from django.db.models import QuerySet

from bulk.commands.export_command import ExportCommand
from courses.exports import GRADES
from courses.models import Grade


class Command(ExportCommand):
    help = "Write the grades as CSV, with the columns that import_grades reads."
    examples = ("export_grades --output grades.csv",)
    export = GRADES

    def rows(self, options: dict[str, Any]) -> QuerySet[Any]:
        return Grade.objects.all()
