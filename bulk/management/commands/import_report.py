"""Command that writes the report or the failed rows of an import to standard output."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.processing_command import write_id
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.import_parts import parts_of
from bulk.models import Import
from bulk.reports import Report
from bulk.row_results import ERROR
from school.access.access_log import Action, Door, Subject, record
from school.commands.base import SafeCommand
from school.commands.private_files import private_output


class Command(SafeCommand):
    help = "Write the report or the failed rows of an import, as CSV or JSON."
    examples = ("import_report 14 --output report.csv", "import_report 14 --failed --part students")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, help="The id of the import.")
        parser.add_argument(
            "--failed", action="store_true", help="Write only the rows with errors, exactly as they were sent."
        )
        parser.add_argument(
            "--part",
            default="",
            metavar="KIND",
            help="The part of a zip import: terms, students, courses or enrollments.",
        )
        parser.add_argument(
            "--output", metavar="FILE", help="Write to this file, readable only by its owner, not to standard output."
        )
        parser.add_argument("--json", action="store_true", help="Write JSON instead of CSV, one line per row.")

    def handle(self, *, id: int, failed: bool, json: bool, **options: Any) -> None:  # noqa: A002  # its name
        job = Import.objects.filter(pk=id).first()
        if job is None:
            raise CommandError(f"There is no import {id}.")
        try:
            parts = {part.name: part for part in parts_of(job)}
        except UnreadableFile as error:
            raise CommandError(str(error)) from None
        if options["part"] not in parts:
            raise CommandError(f"--part is one of: {', '.join(parts)}.")
        write_id(job, self.stderr)
        record(Action.EXPORTED, Subject.IMPORT, Door.COMMAND, file_import_id=job.pk)
        lines: Iterator[str]
        report = Report(job, parts[options["part"]])
        if json:
            lines = (f"{line}\n" for line in report.as_json_rows(outcome=ERROR if failed else None))
        else:
            lines = report.failed_as_csv() if failed else report.as_csv()
        output = options["output"]
        with private_output(output) if output else nullcontext(self.stdout.data) as target:
            for line in lines:
                target.write(line)
            target.flush()
