"""Command that copies the courses of a term to another term."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.commands.import_result import report_result
from bulk.commands.processing_command import (
    ProcessingCommand,
    find_user,
    interruptible_import,
    process_here,
    write_id,
)
from bulk.importers.registry import rights_of
from bulk.models import ImportChannel, Review
from courses.imports import CourseImporter
from courses.models import Term
from courses.term_copy import CourseCopy, submit_copy
from school.refusals import Refused


class Command(ProcessingCommand):
    help = "Copy the courses of a term to another term. The copy is an import, which can be undone."
    examples = (
        "copy_courses --from 2026F --to 2027F --shift-days 364 --dry-run",
        "copy_courses --from 2026F --to 2027F --shift-days 364 --with-staff --actor registrar",
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="source", metavar="CODE", required=True, help="The term to copy from.")
        parser.add_argument("--to", dest="target", metavar="CODE", required=True, help="The term to copy to.")
        parser.add_argument(
            "--shift-days",
            type=int,
            default=0,
            metavar="N",
            help="Move the days and times of the courses by this number of days (default: 0).",
        )
        parser.add_argument("--with-staff", action="store_true", help="Give the copies the staff of the courses.")
        parser.add_argument("--dry-run", action="store_true", help="Show a preview, and apply nothing.")
        parser.add_argument("--actor", metavar="USERNAME", help="The user to record as the sender of the import.")

    def handle(self, *, source: str, target: str, shift_days: int, with_staff: bool, **options: Any) -> None:
        actor = find_user(options["actor"])
        copy = CourseCopy(_term(source), _term(target), shift_days, with_staff)
        # Without --actor the command has all rights, because it runs on the server.
        rights = [
            name
            for name, (_scope, permission) in rights_of(CourseImporter.kind).items()
            if actor is None or actor.has_perm(permission)
        ]
        try:
            with interruptible_import() as command_import:
                job = submit_copy(
                    copy,
                    channel=ImportChannel.COMMAND,
                    request_id=str(uuid.uuid4()),
                    review=Review.DRY_RUN if options["dry_run"] else Review.NEEDED,
                    actor=actor,
                    rights=tuple(rights),
                    dispatch=command_import.reserve,
                )
                if job is None:
                    self.stdout.write(f"{target} has all courses of {source} already. Nothing to copy.")
                    return
                write_id(job, self.stderr)
                process_here(job, self.stderr)
        except Refused as refused:
            raise CommandError(f"{refused} Nothing was applied.") from None
        report_result(job, self.stdout, self.stderr)


def _term(code: str) -> Term:
    term = Term.objects.filter(code=code).first()
    if term is None:
        raise CommandError(f"There is no term {code}.")
    return term
