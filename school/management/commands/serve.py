"""Command that replaces itself with the production server."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from school.commands.base import SafeCommand
from school.db.database_failure import database_failure
from school.observability.metrics_view import MULTIPROC_DIR_VARIABLE
from school.server import (
    ServerStartError,
    check_database,
    check_https,
    check_port,
    default_workers,
    make_metrics_folder,
    parse_port,
    server_command_line,
)


class Command(SafeCommand):
    help = "Serve API, admin and API docs with the production server."
    examples = ("serve", "serve --host 0.0.0.0 --port 8080 --workers 4")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="The address to listen on.")
        parser.add_argument("--port", default="8000", help="The port to listen on.")
        parser.add_argument("--workers", type=int, default=default_workers(), help="Number of processes.")
        parser.add_argument("--threads", type=int, default=2, help="Number of threads per process.")

    def handle(self, *, host: str, port: str, workers: int, threads: int, **options: Any) -> None:
        if min(workers, threads) < 1:
            raise CommandError("--workers and --threads must be 1 or more.")
        try:
            number = parse_port(str(port))
            check_https()
            check_port(host, number)
            failure = check_database()
        except ServerStartError as error:
            raise CommandError(str(error)) from None
        if failure:
            self.stderr.write(f"{database_failure(failure)} Requests are answered with 503 until the database answers.")
        connections.close_all()
        if settings.METRICS_TOKEN:
            os.environ.setdefault(MULTIPROC_DIR_VARIABLE, make_metrics_folder())
        line = server_command_line(host=host, port=number, workers=workers, threads=threads)
        os.execv(line[0], line)
