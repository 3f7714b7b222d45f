"""Command that approves an import and applies it in this process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.import_result import report_result
from bulk.commands.processing_command import ProcessingCommand, find_user, interruptible_import, process_here, write_id
from bulk.jobs.import_actions import approve
from school.refusals import Refused


class Command(ProcessingCommand):
    help = "Approve an import that is waiting for review, and apply it."
    examples = ("approve_import 14 --actor registrar",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, help="The id of the import.")
        parser.add_argument("--actor", metavar="USERNAME", help="The user who approves the import.")

    def handle(self, *, id: int, actor: str | None, **options: Any) -> None:  # noqa: A002  # the argument's name
        approver = find_user(actor)
        try:
            with interruptible_import() as command_import:
                job = approve(id, actor=approver, dispatch=command_import.reserve)
                write_id(job, self.stderr)
                process_here(job, self.stderr)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        report_result(job, self.stdout, self.stderr)
