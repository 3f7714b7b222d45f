import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from courses.models import Course
from students.demo import Size, make_demo
from students.models import Student


class Command(BaseCommand):
    help = "Fill an empty database with plausible data, all or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--students", type=int, default=500)
        parser.add_argument("--courses", type=int, default=80)
        parser.add_argument("--enrollments", type=int, default=5_000)
        parser.add_argument("--if-empty", action="store_true", help="Leave a database that has data as it is.")

    def handle(self, *, students: int, courses: int, enrollments: int, if_empty: bool, **options: Any) -> None:
        if Student.objects.exists() or Course.objects.exists():
            if if_empty:
                return
            raise CommandError("The database has students or courses already: seed an empty one.")
        started = time.perf_counter()
        try:
            with transaction.atomic():
                make_demo(Size(students, courses, enrollments), now=timezone.now(), tell=self.stdout.write)
        except ValueError as error:
            raise CommandError(str(error)) from None
        seconds = time.perf_counter() - started
        self.stdout.write(f"{enrollments} enrollments in {seconds:.1f} s: {enrollments / seconds:,.0f} a second")
