"""Command that deletes the request counts of ended minutes."""

from typing import Any

from school.commands.base import SafeCommand
from school.http.rate_counter import delete_ended


class Command(SafeCommand):
    help = "Delete the request counts of past minutes."
    examples = ("clear_counts",)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{delete_ended()} deleted.")
