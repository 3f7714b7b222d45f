"""Command that exports terms as CSV."""

from typing import Any

from django.db.models import QuerySet

from bulk.commands.export_command import ExportCommand
from courses.exports import TERMS
from courses.models import Term


class Command(ExportCommand):
    help = "Write terms as CSV, with the columns that import_terms reads."
    examples = ("export_terms --output terms.csv",)
    export = TERMS

    def rows(self, options: dict[str, Any]) -> QuerySet[Any]:
        return Term.objects.all()
