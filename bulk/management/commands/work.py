"""Command that runs a background worker."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from bulk.jobs.worker import run_worker
from school.commands.console import SafeCommand
from school.server import CannotServe, check_database


class Command(SafeCommand):
    help = "Run a background worker for imports from the API and the admin. Several workers can run at the same time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Process the waiting tasks, then exit.")

    def handle(self, *, once: bool, **options: Any) -> None:
        try:
            check_database()
        except CannotServe as error:
            raise CommandError(str(error)) from None
        self.is_wanted = True
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        run_worker(is_wanted=lambda: self.is_wanted, once=once)

    def _stop(self, *_: object) -> None:
        """
        Stop after the current import, or immediately at the second signal. The database discards uncommitted work.
        """
        if not self.is_wanted:
            raise SystemExit(1)
        self.is_wanted = False
