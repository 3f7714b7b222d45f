"""Command that verifies the database."""

from typing import Any

from django.core.management.base import CommandError

from school.commands.base import SafeCommand
from school.commands.progress import ProgressLines
from students.verification import findings


class Command(SafeCommand):
    help = (
        "Compare every enrollment with the journal, and look for seats above the capacity without a waiver, double "
        "open enrollments, and references to missing rows. Nothing is changed; others may write meanwhile."
    )
    examples = ("verify",)
    exit_codes = {**SafeCommand.exit_codes, 0: "nothing is wrong", 1: "something is wrong, and listed; or not verified"}

    def handle(self, **options: Any) -> None:
        verify(self)


def verify(command: SafeCommand) -> None:
    """Write each finding as a line; raise ``CommandError`` if there are any."""
    compared = [0]
    wrong = 0

    def report(count: int) -> None:
        compared[0] = count

    with ProgressLines(command.stderr.write, lambda: f"{compared[0]} enrollments compared with the journal …"):
        for finding in findings(report):
            wrong += 1
            command.stdout.write(finding)
    if wrong:
        raise CommandError(f"The database is not consistent: {wrong} findings.")
    command.stdout.write(f"{compared[0]} enrollments verified, nothing is wrong.")
