"""Command that exports holds as CSV."""

from typing import Any

from django.db.models import QuerySet

from bulk.commands.export_command import ExportCommand
from students.exports import HOLDS
from students.models import Hold


class Command(ExportCommand):
    help = "Write the open holds as CSV, with the columns that import_holds reads."
    examples = ("export_holds --output holds.csv --actor registrar",)
    export = HOLDS

    def rows(self, options: dict[str, Any]) -> QuerySet[Any]:
        return Hold.objects.all()
