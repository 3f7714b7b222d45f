"""Command that cancels an import."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.processing_command import write_id
from bulk.jobs.import_actions import cancel
from school.commands.base import SafeCommand
from school.refusals import Refused


class Command(SafeCommand):
    help = "Cancel an import that is running or is waiting for review."
    examples = ("cancel_import 14",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, help="The id of the import.")

    def handle(self, *, id: int, **options: Any) -> None:  # noqa: A002  # the argument's name
        try:
            job = cancel(id)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        write_id(job, self.stderr)
        self.stdout.write(f"Import {job.pk}: {job.get_state_display()}.")
