"""Command that undoes an import in this process."""

import uuid
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandError

from bulk.commands.import_result import report_result
from bulk.commands.processing_command import ProcessingCommand, find_user, interruptible_import, process_here, write_id
from bulk.jobs.import_actions import start_undo
from bulk.models import ImportChannel
from school.refusals import Refused


class Command(ProcessingCommand):
    help = "Undo an import, row by row. Each row is reversed, kept (it was changed since), or an error."
    examples = ("undo_import 14 --dry-run", "undo_import 14 --actor registrar")
    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "every row is undone",
        1: "not undone; the message has the reason, and says if a part is undone",
        2: "undone, except for some rows; or the command line is wrong",
        3: "another process works on the import",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, help="The id of the import.")
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
