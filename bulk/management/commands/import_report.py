"""Command that writes the report or the failed rows of an import to standard output."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.base import write_id
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.registry import parts_of
from bulk.models import Import
from bulk.outcomes import ERROR
from bulk.reports import Report
from school.access.access_log import Action, Door, Subject, record
from school.commands.console import SafeCommand


class Command(SafeCommand):
    help = "Write the report or the failed rows of an import to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument(
            "--failed", action="store_true", help="Write only the rows with errors, exactly as they were sent."
        )
        parser.add_argument("--part", default="", help="The part of a zip import: students, courses or enrollments.")
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
        target = self.stdout if sys.stdout.isatty() else sys.stdout
        for line in lines:
            target.write(line)
