import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bulk.command import user_named, work_here
from bulk.models import Door
from bulk.pipeline import start_undo
from bulk.terminal import conclude
from school.refusals import Refused


class Command(BaseCommand):
    help = "Take an import back, row by row: reversed, kept (changed since), or error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--dry-run", action="store_true", help="Tell what would happen, and undo it.")
        parser.add_argument("--actor", metavar="USERNAME", help="Who does this, for the journal.")

    def handle(self, *, id: int, dry_run: bool, actor: str | None, **options: Any) -> None:  # noqa: A002  # its name
        try:
            job = start_undo(
                id, door=Door.COMMAND, request_id=str(uuid.uuid4()), actor=user_named(actor), dry_run=dry_run
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        work_here(job, self.stderr)
        job.refresh_from_db()
        conclude(job, self.stdout, self.stderr)
