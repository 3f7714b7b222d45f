"""The base class of the commands that export rows of all terms or of one."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.db.models import QuerySet

from bulk.commands.export_command import ExportCommand
from courses.models import Term


class TermExportCommand(ExportCommand):
    """An export command with ``--term``. ``term_path`` leads from a row to the code of its terms."""

    term_path: ClassVar[str]
    term_help: ClassVar[str]
    every_row: ClassVar[QuerySet[Any]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--term", metavar="CODE", help=self.term_help)
        super().add_arguments(parser)

    def rows(self, options: dict[str, Any]) -> QuerySet[Any]:
        code = options["term"]
        if code is None:
            return self.every_row.all()
        if not Term.objects.filter(code=code).exists():
            raise CommandError(f"There is no term {code}.")
        return self.every_row.filter(pk__in=self.every_row.filter(**{self.term_path: code}).values("pk"))
