"""A temporary PostgreSQL server for a test run."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.processes import tree

# The data need not survive a crash. The rows of ended tests are removed after some seconds: as long as they are there,
# statements that are planned for small tables read them.
OPTIONS = (
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"),
    "autovacuum_naptime=10s",
)
FAST = [part for option in OPTIONS for part in ("-c", option)]


def find_binaries() -> Path | None:
    """Return the folder of initdb and postgres, the newest version first, or None."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True
    )
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Server:
    """A separate server in its own folder and on a free port; it can be stopped, paused and restarted."""

    def __init__(self, binaries: Path, options: list[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="school-postgres-"))
        self.account = unprivileged_account()
        self.port = _free_port()
        self.url = f"postgres://school@127.0.0.1:{self.port}/postgres"
        self.settings = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), *options]
        self.control: list[str | Path] = [
            binaries / "pg_ctl",
            "-D",
            self.folder / "data",
            "-w",
            "-l",
            self.folder / "log",
        ]
        self.initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "school",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]

    def make(self) -> None:
        if self.account:
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self._run(*self.initdb, "--no-sync")

    def start(self) -> None:
        self._run(*self.control, "-o", " ".join(self.settings), "start")

    def stop(self) -> None:
        """Stop immediately, as in a crash."""
        self._run(*self.control, "-m", "immediate", "stop")

    def freeze(self) -> None:
        """Pause all processes of the server until ``thaw``: it neither responds nor closes connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        postmaster = int((self.folder / "data/postmaster.pid").read_text().splitlines()[0])
        for process in tree(postmaster):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _run(self, *command: str | Path) -> None:
        run_as: dict[str, Any] = {}
        if self.account:
            run_as = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": self.folder, **run_as}
        subprocess.run(command, check=True, **quiet)


@contextmanager
def running_server(
    binaries: Path, options: list[str] | None = None, *, server: Server | None = None
) -> Iterator[Server]:
    """Start a separate server, or this one; stop and remove it at the end."""
    server = server or Server(binaries, FAST if options is None else options)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def temporary_server(binaries: Path, options: list[str] | None = None) -> Iterator[str]:
    """Start a separate server, and yield only its DATABASE_URL."""
    with running_server(binaries, options) as server:
        yield server.url


def unprivileged_account() -> pwd.struct_passwd | None:
    """Return the account for the server, as postgres refuses root; None to use the current one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL refuses root, and there is neither a user postgres nor nobody.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
