import csv
import os
import sys
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bulk.cells import guard
from courses.models import Term
from students.exports import HEADER, enrollment_rows
from students.models import StudentCourse


class Command(BaseCommand):
    help = "Write enrollments as CSV, in the columns that import_enrollments reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--term", metavar="CODE", help="Only courses of this term.")
        parser.add_argument("--output", metavar="OUT.csv", help="A file instead of standard output.")

    def handle(self, *, term: str | None, output: str | None, **options: Any) -> None:
        enrollments = StudentCourse.objects.all()
        if term is not None:
            if not Term.objects.filter(code=term).exists():
                raise CommandError(f"There is no term {term}.")
            enrollments = enrollments.filter(course__term__code=term)
        try:
            with Path(output).open("w", newline="", encoding="utf-8") if output else nullcontext(self.stdout) as target:
                writer = csv.writer(target, lineterminator="\n")
                writer.writerow(HEADER)
                for row in enrollment_rows(enrollments):
                    writer.writerow(map(guard, row))
        except BrokenPipeError:
            # Who reads has seen enough. Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise CommandError(f"Cannot write {output}: {error.strerror}.") from None
