"""Command that runs a background worker."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.jobs.worker import run_worker
from school.commands.base import SafeCommand
from school.db.database_failure import database_failure
from school.server import ServerStartError, check_database


class Command(SafeCommand):
    help = "Run a background worker for imports from the API and the admin. Several workers can run at the same time."
    examples = ("work", "work --once")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Process the waiting tasks, then exit.")

    def handle(self, *, once: bool, **options: Any) -> None:
        try:
            failure = check_database()
        except ServerStartError as error:
            raise CommandError(str(error)) from None
        if failure and not once:
            self.stderr.write(f"{database_failure(failure)} The worker waits until the database answers.")
        self.keep_running = True
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        run_worker(keep_running=lambda: self.keep_running, once=once)

    def _stop(self, *_: object) -> None:
        """
        Stop after the current import, or immediately at the second signal. The database discards uncommitted work.
        """
        if not self.keep_running:
            raise SystemExit(1)
        self.keep_running = False
