"""Command that fills an empty database with demo data."""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

from bulk.jobs.gc_tuning import infrequent_collection
from courses.models import Course
from school.commands.base import SafeCommand
from students.demo import Size, make_demo
from students.models import Student


class Command(SafeCommand):
    help = "Fill an empty database with demo data, all or nothing."
    examples = ("seed_demo", "seed_demo --students 10000 --courses 500 --enrollments 60000")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--students", type=int, default=500, help="Number of students (default: 500).")
        parser.add_argument("--courses", type=int, default=80, help="Number of courses (default: 80).")
        parser.add_argument("--enrollments", type=int, default=5_000, help="Number of enrollments (default: 5000).")
        parser.add_argument("--if-empty", action="store_true", help="Do nothing if the database has data.")

    def handle(self, *, students: int, courses: int, enrollments: int, if_empty: bool, **options: Any) -> None:
        if Student.objects.exists() or Course.objects.exists():
            if if_empty:
                return
            raise CommandError("The database already has students or courses. Use an empty database.")
        started = time.perf_counter()
        size = Size(students, courses, enrollments)
        try:
            with (
                self._progress(students + enrollments) as (log, advance),
                transaction.atomic(),
                infrequent_collection(),
            ):
                make_demo(size, now=timezone.now(), log=log, advance=advance)
        except ValueError as error:
            raise CommandError(str(error)) from None
        seconds = time.perf_counter() - started
        self.stdout.write(f"{enrollments} enrollments in {seconds:.1f} s: {enrollments / seconds:,.0f} a second")

    @contextmanager
    def _progress(self, total: int) -> Iterator[tuple[Callable[[str], None], Callable[[int], object]]]:
        """Show a progress bar and messages on a terminal; in a pipe or a file only the messages, each immediately."""
        console = Console(stderr=True)
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=total)

            def log(message: str) -> None:
                if self.stdout.isatty() and console.is_terminal:
                    progress.console.print(message, highlight=False)
                else:
                    self.stdout.write(message)
                    self.stdout.flush()

            yield log, lambda rows: progress.advance(task, rows)
