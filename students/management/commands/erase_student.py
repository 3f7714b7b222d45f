from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bulk.command import user_named
from school.disclosures import Door
from school.refusals import Refused
from students.privacy import Erased, erase, find_person, objections

QUESTION = "This empties name, email and number of student {number}, everywhere and for good. Type {number}: "


class Command(BaseCommand):
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
            if refusals := objections(person):
                raise Refused(refusals)
            if not yes and input(QUESTION.format(number=number)) != number:
                raise CommandError("Nothing was erased.")
            self._tell(erase(person, reason=reason, door=Door.COMMAND, actor=actor))
        except Refused as refused:
            raise CommandError(str(refused)) from None
        except EOFError:
            raise CommandError("Nothing was erased: nobody answered. Use --yes where nobody can be asked.") from None

    def _tell(self, erased: Erased) -> None:
        self.stdout.write(f"Erased: the student is {erased.pseudonym} from now on.")
        self.stdout.write(f"Earlier versions emptied: {erased.versions}.")
        for pk, rows in erased.imports.items():
            self.stdout.write(f"Import {pk}: {rows} rows blacked out.")
        for pk in erased.imports_not_searched:
            self.stdout.write(f"Import {pk} has a file that cannot be read: it was not searched.")
        for pk in erased.named_in_journal:
            self.stdout.write(f"Journal entry {pk} gives a reason with the name in it. The journal cannot be changed.")
