"""Command that exports enrollments as CSV."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from courses.export_command import TermExportCommand
from courses.models import Term
from school.refusals import Refused
from students.as_of_parameter import parse_as_of
from students.exports import ENROLLMENTS
from students.models import StudentCourse


class Command(TermExportCommand):
    help = (
        "Write the latest enrollment of each student in each course as CSV, with the columns that import_enrollments "
        "reads."
    )
    examples = (
        "export_enrollments --term 2026F --output fall.csv --actor registrar",
        "export_enrollments --term 2026F --as-of census:2026F --output census.csv",
        "export_enrollments | gzip",
    )
    export = ENROLLMENTS
    every_row = StudentCourse.objects.all()
    term_path = "course__term__code"
    term_help = "Export only enrollments in courses of this term."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--as-of",
            metavar="TIME",
            help="Export the enrollments of an earlier time, by the journal: a date (the end of that day), an instant "
            "with its offset, or census: and the code of a term.",
        )

    def as_of(self, options: dict[str, Any]) -> datetime | None:
        if options["as_of"] is None:
            return None
        try:
            return parse_as_of(options["as_of"], Term.objects.all())
        except ValidationError as error:
            raise CommandError(f"--as-of: {error.message}") from None
        except Refused as refused:
            raise CommandError(f"--as-of: {refused}") from None
