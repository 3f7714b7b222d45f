"""Command that deletes data after its retention period."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from school.commands.base import SafeCommand
from students.privacy.database_vacuum import DATABASE_IN_USE, scrub
from students.privacy.retention import ERASED, apply_retention


class Command(SafeCommand):
    help = "Delete data and erase former students after the retention periods in the RETENTION_… settings."
    examples = ("apply_retention --dry-run", "apply_retention")
    interrupted_message = "What is deleted stays deleted. Run the command again to continue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="Show how many objects would be deleted, and delete nothing."
        )

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        has_erased = False
        for what, count, refused in apply_retention(dry_run=dry_run):
            self.stdout.write(f"{count} {what}" + (f", {refused} refused" if refused else "") + ".")
            has_erased = has_erased or (what is ERASED and count > 0)
        if has_erased and not dry_run:
            transaction.on_commit(self._scrub)

    def _scrub(self) -> None:
        if not scrub():
            self.stderr.write(DATABASE_IN_USE)
