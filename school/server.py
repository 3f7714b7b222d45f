"""
Command lines of the production server (granian) and of the background worker, and the checks before the server starts.
"""

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from school.db.database_failure import database_failure, lacks_rights
from school.db.migration_check import NOT_MIGRATED, is_migrated
from school.db.session_checks import POOLER_DROPS_OPTIONS, WITHOUT_OPTIONS, session_fault

# Seconds that running requests have to finish when the server stops. Only requests that wait for changes can take
# longer, and their clients repeat them.
SHUTDOWN_TIMEOUT = 7


class ServerStartError(Exception):
    """The server cannot start, or could not answer any request. The message is one line."""


def parse_port(text: str) -> int:
    """Return the port number in a text; raise ``ServerStartError`` if it is not from 1 to 65535."""
    port = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
    if not 1 <= port <= 65_535:
        raise ServerStartError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return port


def check_port(host: str, port: int) -> None:
    """Raise ``ServerStartError`` if the port is in use: granian would share it or print a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerStartError(f"Cannot listen on {host}:{port} ({error}). Choose another with PORT=…") from None


def check_https() -> None:
    """
    Raise ``ServerStartError`` if every request would be redirected to https://, which this server does not support.
    """
    if settings.SECURE_SSL_REDIRECT and not settings.SECURE_PROXY_SSL_HEADER:
        raise ServerStartError(
            "HTTPS is on, and this server speaks plain HTTP: every page would be redirected to itself. "
            "Set BEHIND_TLS_PROXY=true behind a proxy that speaks HTTPS, or HTTPS=false without one."
        )


def check_database() -> DatabaseError | None:
    """
    Raise ``ServerStartError`` if migrations are not applied, if the user of the database lacks rights, or if a pooler
    drops the options of the connection.

    Return the error if the database does not answer, else None.
    """
    try:
        if session_fault() == WITHOUT_OPTIONS:
            raise ServerStartError(POOLER_DROPS_OPTIONS)
        if is_migrated():
            return None
    except DatabaseError as error:
        if lacks_rights(error):
            raise ServerStartError(database_failure(error)) from None
        return error
    raise ServerStartError(NOT_MIGRATED)


def server_command_line(*, host: str, port: int, workers: int, threads: int) -> list[str]:
    """
    Return granian's command line.

    Each process has ``CHANGES_WAITERS`` more threads for requests that wait for changes. Granian's access log stays
    off: School logs each request, without its path.
    """
    return [
        sys.executable,
        "-m",
        "granian",
        "--interface=wsgi",
        f"--host={host}",
        f"--port={port}",
        f"--workers={workers}",
        f"--blocking-threads={threads + settings.CHANGES_WAITERS}",
        "--no-ws",
        "--http=1",  # an HTTP/2 body may have no length, and WSGI reads a body without a length as empty
        "--no-access-log",
        f"--workers-kill-timeout={SHUTDOWN_TIMEOUT}",
        "--respawn-failed-workers",  # without this option, the server stops if one of its processes is killed
        # This option hides the warning that there are more threads than processors, which is intended.
        "--log-level=error",
        "school.wsgi:application",
    ]


def make_metrics_folder() -> str:
    """Create and return the folder for the metrics of this server's processes; delete those of stopped servers."""
    prefix = f"school-metrics-{os.getuid()}-"
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-")


def worker_command_line() -> list[str]:
    """Return the command line of a worker that processes imports and runs the periodic tasks."""
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), "work"]


def default_workers() -> int:
    return min(len(os.sched_getaffinity(0)), 8)
