import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from school.scrape import FOLDER
from school.server import PortTaken, check_port, command_line, default_workers, make_metrics_folder


class Command(BaseCommand):
    help = "Serve API, admin and API docs with the production server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=default_workers(), help="Processes.")
        parser.add_argument("--threads", type=int, default=2, help="Requests at a time in each process.")

    def handle(self, *, host: str, port: int, workers: int, threads: int, **options: Any) -> None:
        try:
            check_port(host, port)
        except PortTaken as error:
            raise CommandError(str(error)) from None
        if settings.METRICS_TOKEN:
            os.environ.setdefault(FOLDER, make_metrics_folder())
        line = command_line(host=host, port=port, workers=workers, threads=threads)
        os.execv(line[0], line)
