"""Command that removes erased data from the files of the database."""

from typing import Any

from django.core.management.base import CommandError

from school.commands.base import SafeCommand
from students.privacy.database_vacuum import DATABASE_IN_USE, scrub


class Command(SafeCommand):
    help = (
        "Remove erased data from the database files by rewriting the tables. "
        "erase_student and apply_retention do this automatically; run it after erasures in the admin."
    )
    examples = ("scrub_database",)
    interrupted_message = "Run the command again."

    def handle(self, **options: Any) -> None:
        if not scrub():
            raise CommandError(DATABASE_IN_USE)
        self.stdout.write("The database files contain no erased data.")
