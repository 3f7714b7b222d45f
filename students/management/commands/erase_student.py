"""Command that erases the personal data of a student."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from bulk.commands.base import user_named
from school.access.access_log import Door
from school.commands.console import SafeCommand, escaped
from school.refusals import Refused
from students.privacy import ErasureResult, erase, erasure_blockers, find_person
from students.privacy.scrubbing import DATABASE_IN_USE, scrub

QUESTION = "This empties name, email and number of student {number}, everywhere and for good. Type {number}: "


class Command(SafeCommand):
    help = "Erase the personal data of a student, for good. Enrollments and their journal stay, under a pseudonym."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="The student number.")
        parser.add_argument("--reason", required=True, help="Kept in the record of access. Put no personal data in it.")
        parser.add_argument("--actor", metavar="USERNAME", help="Who does this, for the record of access.")
        parser.add_argument("--yes", "--noinput", action="store_true", help="Do not ask.")

    def handle(self, *, number: str, reason: str, yes: bool, **options: Any) -> None:
        actor = user_named(options["actor"])
        try:
            person = find_person(number)
            if refusals := erasure_blockers(person):
                raise Refused(refusals)
            if not yes and input(escaped(QUESTION.format(number=number))) != number:
                raise CommandError("Nothing was erased.")
            self._tell(erase(person, reason=reason, door=Door.COMMAND, actor=actor))
            transaction.on_commit(self._scrub)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        except EOFError:
            raise CommandError("Nothing was erased: nobody answered. Use --yes where nobody can be asked.") from None

    def _tell(self, erased: ErasureResult) -> None:
        self.stdout.write(f"Erased: the student is {erased.pseudonym} from now on.")
        self.stdout.write(f"Earlier versions emptied: {erased.versions}.")
        for pk, rows in erased.imports.items():
            if rows:
                self.stdout.write(f"Import {pk}: {rows} rows blacked out.")
        for pk in erased.imports_discarded:
            self.stdout.write(f"Import {pk} had a file that cannot be searched: the file was deleted.")
        for pk in erased.named_in_journal:
            self.stdout.write(f"Journal entry {pk} gives a reason with the name in it. The journal cannot be changed.")
        for pk in erased.named_in_access:
            self.stdout.write(f"Line {pk} of the record of access gives a reason with the name in it. It stays.")

    def _scrub(self) -> None:
        if not scrub():
            self.stderr.write(DATABASE_IN_USE)
