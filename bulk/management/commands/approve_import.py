from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bulk.command import user_named, work_here
from bulk.pipeline import approve
from bulk.terminal import conclude
from school.refusals import Refused


class Command(BaseCommand):
    help = "Let an import that waits for its review go on, and apply it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--actor", metavar="USERNAME", help="Who approves.")

    def handle(self, *, id: int, actor: str | None, **options: Any) -> None:  # noqa: A002  # the argument's name
        try:
            job = approve(id, actor=user_named(actor))
        except Refused as refused:
            raise CommandError(str(refused)) from None
        work_here(job, self.stderr)
        job.refresh_from_db()
        conclude(job, self.stdout, self.stderr)
