"""Command that removes erased data from the files of the database."""

from typing import Any

from django.core.management.base import CommandError

from school.commands.console import SafeCommand
from students.privacy.scrubbing import DATABASE_IN_USE, scrub


class Command(SafeCommand):
    help = (
        "Remove erased data from the files of the database too: its tables are written anew. "
        "erase_student and apply_retention do this by themselves; run it after erasures in the admin."
    )

    def handle(self, **options: Any) -> None:
        if not scrub():
            raise CommandError(DATABASE_IN_USE)
        self.stdout.write("The files of the database have no erased data.")
