"""Command that approves an import and applies it in this process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.base import own_import, show_id, user_named, work_here
from bulk.commands.progress import conclude
from bulk.jobs.lifecycle import approve
from school.commands.console import SafeCommand
from school.refusals import Refused


class Command(SafeCommand):
    help = "Approve and apply an import that needs review."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--actor", metavar="USERNAME", help="The user who approves the import.")

    def handle(self, *, id: int, actor: str | None, **options: Any) -> None:  # noqa: A002  # the argument's name
        approver = user_named(actor)
        try:
            with own_import() as own:
                job = approve(id, actor=approver, then=own.take)
                show_id(job, self.stderr)
                work_here(job, self.stderr)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        conclude(job, self.stdout, self.stderr)
