"""Command that erases the personal data of a student."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from bulk.commands.processing_command import find_user
from school.access.access_log import Door
from school.commands.base import SafeCommand
from school.commands.output import escape_control_characters
from school.refusals import Refused
from students.privacy import ErasureResult, erase, erasure_blockers, find_person
from students.privacy.database_vacuum import DATABASE_IN_USE, scrub

QUESTION = "This permanently deletes the name, email and number of student {number}. Enter {number} to confirm: "


class Command(SafeCommand):
    help = "Erase the personal data of a student permanently. Enrollments and their journal are kept under a pseudonym."
    examples = ('erase_student S-1042 --reason "request of 2026-11-02" --actor registrar',)
    interrupted_message = "Nothing was erased, unless the command has reported it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="The student number.")
        parser.add_argument(
            "--reason", required=True, help="Stored in the record of access. Do not enter personal data."
        )
        parser.add_argument("--actor", metavar="USERNAME", help="The user to record in the record of access.")
        parser.add_argument("--yes", "--noinput", action="store_true", help="Do not ask for confirmation.")

    def handle(self, *, number: str, reason: str, yes: bool, **options: Any) -> None:
        actor = find_user(options["actor"])
        try:
            person = find_person(number)
            if refusals := erasure_blockers(person):
                raise Refused(refusals)
            if not yes and input(escape_control_characters(QUESTION.format(number=number))) != number:
                raise CommandError("Nothing was erased.")
            self._tell(erase(person, reason=reason, door=Door.COMMAND, actor=actor))
            transaction.on_commit(self._scrub)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        except EOFError:
            raise CommandError(
                "Nothing was erased, because the confirmation was not answered. Use --yes to run without confirmation."
            ) from None

    def _tell(self, erased: ErasureResult) -> None:
        self.stdout.write(f"The personal data was erased. The student is now called {erased.pseudonym}.")
        self.stdout.write(f"Earlier versions erased: {erased.versions}.")
        for pk, rows in erased.imports.items():
            if rows:
                self.stdout.write(f"Import {pk}: {rows} rows redacted.")
        for pk in erased.imports_discarded:
            self.stdout.write(f"The file of import {pk} could not be searched and was deleted.")
        for pk in erased.named_in_journal:
            self.stdout.write(f"Journal entry {pk} has a reason that contains the name. The journal cannot be changed.")
        for pk in erased.named_in_access:
            self.stdout.write(
                f"Entry {pk} in the record of access has a reason that contains the name. It cannot be changed."
            )

    def _scrub(self) -> None:
        if not scrub():
            self.stderr.write(DATABASE_IN_USE)
