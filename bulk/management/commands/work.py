import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from bulk.tasks import run_worker


class Command(BaseCommand):
    help = "Work in the background: imports from the API and the admin. Several may run at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do what there is to do, and end.")

    def handle(self, *, once: bool, **options: Any) -> None:
        self.is_wanted = True
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        run_worker(is_wanted=lambda: self.is_wanted, once=once)

    def _stop(self, *_: object) -> None:
        """End after the import that is at work; asked twice, at once. What is not committed is as if it never was."""
        if not self.is_wanted:
            raise SystemExit(1)
        self.is_wanted = False
