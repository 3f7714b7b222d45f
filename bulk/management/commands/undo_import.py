"""Command that undoes an import in this process."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.base import find_user, interruptible_import, process_here, write_id
from bulk.commands.progress import report_result
from bulk.jobs.lifecycle import start_undo
from bulk.models import ImportChannel
from school.commands.console import SafeCommand
from school.refusals import Refused


class Command(SafeCommand):
    help = "Undo an import, row by row. Each row is reversed, kept (it was changed since), or an error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--dry-run", action="store_true", help="Show a preview, and apply nothing.")
        parser.add_argument("--actor", metavar="USERNAME", help="The user to record in the journal.")

    def handle(self, *, id: int, dry_run: bool, actor: str | None, **options: Any) -> None:  # noqa: A002  # its name
        author = find_user(actor)
        try:
            with interruptible_import() as command_import:
                job = start_undo(
                    id,
                    channel=ImportChannel.COMMAND,
                    request_id=str(uuid.uuid4()),
                    actor=author,
                    dry_run=dry_run,
                    dispatch=command_import.reserve,
                )
                write_id(job, self.stderr)
                process_here(job, self.stderr)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        report_result(job, self.stdout, self.stderr)
