from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bulk.pipeline import cancel
from school.refusals import Refused


class Command(BaseCommand):
    help = "Stop an import that is at work or waits for its review."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *, id: int, **options: Any) -> None:  # noqa: A002  # the argument's name
        try:
            job = cancel(id)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(f"Import {job.pk}: {job.get_state_display()}.")
