"""Command that exports enrollments as CSV."""

import csv
import os
from argparse import ArgumentParser
from contextlib import nullcontext
from io import TextIOBase
from typing import Any, TextIO

from django.core.management.base import CommandError

from bulk.files.csv_cells import escape_formulas
from courses.models import Term
from school.access.access_log import Action, Door, Subject, record
from school.commands.console import SafeCommand
from school.commands.private_files import open_private
from students.exports import HEADER, enrollment_rows
from students.models import StudentCourse, StudentCourseQuerySet


class Command(SafeCommand):
    help = "Write enrollments as CSV, with the columns that import_enrollments reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--term", metavar="CODE", help="Export only courses of this term.")
        parser.add_argument("--output", metavar="OUT.csv", help="Write to this file instead of standard output.")

    def handle(self, *, term: str | None, output: str | None, **options: Any) -> None:
        enrollments = StudentCourse.objects.all()
        if term is not None:
            if not Term.objects.filter(code=term).exists():
                raise CommandError(f"There is no term {term}.")
            enrollments = enrollments.filter(course__term__code=term)
        record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND, scope=term or "")
        try:
            with open_private(output, newline="") if output else nullcontext(self.stdout.data) as target:
                _write(target, enrollments)
                target.flush()
        except OSError as error:
            if not output:
                # Replace standard output: otherwise Python prints a second error when it flushes it at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            if not isinstance(error, BrokenPipeError):  # the reader closed the pipe, which is not an error
                raise CommandError(f"Cannot write {output or 'standard output'}: {error.strerror}.") from None


def _write(target: TextIOBase | TextIO, enrollments: StudentCourseQuerySet) -> None:
    writer = csv.writer(target, lineterminator="\n")
    # Python before 3.13 does not quote a bare carriage return in a cell, and CSV readers reject it unquoted.
    quoting = csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    for row in enrollment_rows(enrollments):
        cells = [escape_formulas(cell) for cell in row]
        (quoting if any("\r" in cell for cell in cells) else writer).writerow(cells)
