"""Command that does the regular work of the workers, for a crontab."""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from school.commands.base import SafeCommand
from students.housekeeping import promote_waitlists
from students.models import Channel


class Command(SafeCommand):
    help = (
        "Do what workers do once a day: delete data after its retention period and expired tokens, remove erased data "
        "from the database files, and give away seats of courses whose enrollment has opened."
    )
    examples = ("housekeeping",)
    interrupted_message = "What is done stays done. Run the command again to continue."

    def handle(self, **options: Any) -> None:
        for line in promote_waitlists(Channel.COMMAND):
            self.stdout.write(line)
        for path, interval in settings.PERIODIC_TASKS.values():
            if interval is None:
                for line in import_string(path)():
                    self.stdout.write(line)
