"""Start servers on a free port that no other program uses, and stop them at the end."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from bench.processes import Failed, listens_alone, stop

HOST = "127.0.0.1"
PATIENCE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> Any:
        """Return the JSON of a response with this status; raise ``Failed`` for another status."""
        with closing(HTTPConnection(HOST, self.port, timeout=10)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != status:
            raise Failed(f"{method} {path} answers {answer.status}.")
        return json.loads(text)


@contextmanager
def serving(
    command: Callable[[int], Sequence[str]],
    *,
    probe: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """Start the command for a free port, and yield the server when ``probe`` responds; raise ``Failed``."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        server = Server(process.pid, port)
        try:
            if not _comes_up(process, server, probe):
                log.seek(0)
                raise Failed(f"The server did not start:\n{log.read()[-2000:]}")
            if not listens_alone(process.pid, port):
                raise Failed(f"Another program listens on {HOST}:{port}.")
            yield server
        finally:
            stop(process)


def _comes_up(process: "subprocess.Popen[bytes]", server: Server, probe: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.ask("GET", probe)
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return True
    return False
