"""Command that exports all data held on a student."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from bulk.commands.processing_command import find_user
from school.access.access_log import Action, Door, Subject, record
from school.commands.base import SafeCommand
from school.commands.private_files import private_output
from school.refusals import Refused
from students.privacy import collect_personal_data, find_person
from students.privacy.export_formats import WRITERS
from students.privacy.person_lookup import refuse_reason_with_identifier


class Command(SafeCommand):
    help = "Export all stored data about a student. The export is stored in the record of access."
    examples = (
        'export_student_data S-1042 --output S-1042.json --reason "request of 2026-11-02" --actor registrar',
        "export_student_data S-1042 --format html --output S-1042.html",
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="The student number.")
        parser.add_argument(
            "--format",
            choices=WRITERS,
            default="json",
            help="The format of the export: json for programs, html for people.",
        )
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="Write to this file, readable only by its owner, instead of standard output.",
        )
        parser.add_argument("--reason", default="", help="The recipient and the reason, for the record of access.")
        parser.add_argument("--actor", metavar="USERNAME", help="The user to record in the record of access.")

    def handle(self, *, number: str, output: str | None, **options: Any) -> None:
        actor = find_user(options["actor"])
        try:
            person = find_person(number)
            refuse_reason_with_identifier(person, options["reason"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        # One transaction, so that each export has an entry in the record of access, and a failed export has none.
        with transaction.atomic():
            about = {"student_id": person.pk, "reason": options["reason"]}
            record(Action.EXPORTED, Subject.STUDENT, Door.COMMAND, actor_id=actor and actor.pk, **about)
            text = WRITERS[options["format"]](collect_personal_data(person))
            if output is None:
                self.stdout.write(text)
            else:
                with private_output(output) as file:
                    file.write(text)
