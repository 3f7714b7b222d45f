"""Starts the production server by `manage.py serve`, and can kill and restart it."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

from bench.processes import MANAGE, Failed, listens_alone, stop, tree
from courses.api_client_creation import create_api_client

HOST = "127.0.0.1"
PATIENCE = 60  # seconds


class Server:
    """A server on a free port, which stays the same after a restart."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed after the server has stopped

    def start(self) -> None:
        command = [*MANAGE, "serve", "--host", HOST, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)
        if not self._comes_up():
            stop(self.process)
            raise Failed(f"The server did not start:\n{self.log_tail()}")
        if not listens_alone(self.process.pid, self.port):
            stop(self.process)
            raise Failed(f"Another program listens on {HOST}:{self.port}.")

    def stop(self) -> None:
        stop(self.process)

    def kill_workers(self) -> int:
        """Kill every worker by SIGKILL, then stop the server; return the number of workers."""
        _master, *workers = tree(self.process.pid)
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        stop(self.process)
        return len(workers)

    def log_tail(self) -> str:
        """Return the end of the server's log."""
        self.log.seek(0)
        return self.log.read()[-2000:]

    def token(self, scope: str = "enrollments:read enrollments:write changes:read") -> str:
        """Create an API client with these scopes, and return a token."""
        keys = create_api_client("stress", scope)
        basic = b64encode(f"{keys.client_id}:{keys.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
        connection.request("POST", "/oauth/token", "grant_type=client_credentials", headers)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return str(answer["access_token"])

    def _comes_up(self) -> bool:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                connection = HTTPConnection(HOST, self.port, timeout=PATIENCE)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return True
            except (OSError, HTTPException):
                time.sleep(0.1)
            finally:
                connection.close()
        return False


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server, and stop it at the end."""
    server = Server()
    with server.log:
        server.start()
        try:
            yield server
        finally:
            server.stop()
