"""Starting the production server, granian, in a process of its own."""

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from django.conf import settings

# Seconds that requests at work have when the server ends. Only who waits for changes needs more, and comes again.
PATIENCE = 7


class PortTaken(Exception):
    pass


def check_port(host: str, port: int) -> None:
    """Raise ``PortTaken`` where another program listens already: granian itself would share or shout."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise PortTaken(f"Cannot listen on {host}:{port} ({error}). Choose another with PORT=…") from None


def command_line(*, host: str, port: int, workers: int, threads: int) -> list[str]:
    """
    Return granian's command line, with a thread in each process for each who waits for changes beside the others.

    Its access log stays off: requests are logged once, and without their paths.
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
        "--http=1",  # in HTTP/2 a body needs no length, and WSGI would read one without as empty
        "--no-access-log",
        f"--workers-kill-timeout={PATIENCE}",
        "--log-level=error",  # below it stands that more threads than processors are allowed, which is meant
        "school.wsgi:application",
    ]


def make_metrics_folder() -> str:
    """Make the folder where the processes of this server count, and remove those of servers that have ended."""
    prefix = f"school-metrics-{os.getuid()}-"
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-")


def worker_command_line() -> list[str]:
    """Return the command line of a worker that does what the server leaves to the background."""
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), "work"]


def default_workers() -> int:
    return min(len(os.sched_getaffinity(0)), 8)
