from argparse import ArgumentParser
from typing import Any

from bulk.command import ImportCommand
from students.acts import OnFull, Origin
from students.imports import EnrollmentImporter
from students.models import Channel


class Command(ImportCommand):
    help = "Enroll, drop and complete from a CSV file that says how each student stands in each course."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--on-full",
            choices=[each.value for each in OnFull],
            default=OnFull.REJECT.value,
            help="reject (default): a full course is an error. waitlist: who finds no seat waits for one.",
        )

    def importer(self, *, actor: Any, run_id: str, on_full: str = OnFull.REJECT, **options: Any) -> EnrollmentImporter:
        # Who runs commands on the database's own machine may do anything; who is named acts with their own rights.
        may_waive = actor is None or actor.has_perm("students.waive_rules")
        origin = Origin(Channel.IMPORT, actor_id=actor and actor.pk, request_id=run_id, may_waive=may_waive)
        return EnrollmentImporter(origin, on_full=OnFull(on_full))
