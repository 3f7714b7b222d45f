"""Command that gives free seats to waitlisted students."""

from typing import Any

from school.commands.base import SafeCommand
from students.housekeeping import promote_waitlists
from students.models import Channel


class Command(SafeCommand):
    help = "Give free seats to waitlisted students of courses whose enrollment has opened since."
    examples = ("promote_waitlists",)
    interrupted_message = "Seats that were given away stay. Run the command again to continue."

    def handle(self, **options: Any) -> None:
        for line in promote_waitlists(Channel.COMMAND):
            self.stdout.write(line)
