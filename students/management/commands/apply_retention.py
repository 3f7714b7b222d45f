from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from students.privacy.retention import apply_retention


class Command(BaseCommand):
    help = "Delete what has been kept for as long as RETENTION_… in the settings say; erase students who left long ago."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only tell how much that is.")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        for what, count, refused in apply_retention(dry_run=dry_run):
            self.stdout.write(f"{count} {what}" + (f", {refused} refused" if refused else "") + ".")
