"""Two School servers and a worker, which are restarted after they were killed, as a service manager does."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path

from bench.processes import MANAGE, Failed, manage, stop, tree
from stress.failover.clients import HOST, PAUSE, Access, Link

PORTS = (8001, 8002)
WORKER = "worker"
STARTED_WITHIN = 90  # seconds
TOKEN_WITHIN = 30  # seconds
SCOPES = "changes:read courses:read enrollments:read enrollments:write imports:read imports:write students:read"


class School:
    """The processes of School, by name, and their logs in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start the server of a port, or the worker."""
        command = [*MANAGE, "work"]
        if name != WORKER:
            command = [*MANAGE, "serve", "--host", HOST, "--port", name, "--workers", "1", "--threads", "16"]
        with (self.folder / f"school.{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self, name: str) -> None:
        for pid in tree(self.processes[name].pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        stop(self.processes[name])

    def restart_ended(self) -> None:
        """Start the processes that have ended by themselves."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                self.start(name)

    def wait(self) -> None:
        deadline = time.monotonic() + STARTED_WITHIN
        while not all(_answers(port) for port in PORTS):
            if time.monotonic() > deadline:
                raise Failed(f"School did not start:\n{self.log_tail()}")
            self.restart_ended()
            time.sleep(0.2)

    def log_tail(self) -> str:
        logs = sorted(self.folder.glob("school.*.log"))
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


@contextmanager
def running_school(folder: Path) -> Iterator[School]:
    school = School(folder)
    try:
        for name in (*map(str, PORTS), WORKER):
            school.start(name)
        school.wait()
        yield school
    finally:
        for process in school.processes.values():
            stop(process)


class RenewedAccess(Access):
    """The access of a new API client, whose token is renewed."""

    def __init__(self) -> None:
        keys = json.loads(manage("create_api_client", f"stress {time.time()}", f"--scope={SCOPES}", "--json").output)
        self.basic = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
        self.renew()

    def renew(self) -> None:
        """Take a new token from whichever server gives one. Raise ``Failed`` if none does."""
        headers = {"Authorization": f"Basic {self.basic}", "Content-Type": "application/x-www-form-urlencoded"}
        deadline = time.monotonic() + TOKEN_WITHIN
        for port in cycle(PORTS):
            connection = HTTPConnection(HOST, port, timeout=5)
            with suppress(OSError, HTTPException), closing(connection):
                connection.request("POST", "/oauth/token", "grant_type=client_credentials", headers)
                answer = connection.getresponse()
                content = json.loads(answer.read())
                if answer.status == 200:
                    self.token = content["access_token"]
                    return
            if time.monotonic() > deadline:
                raise Failed(f"No server gave a token within {TOKEN_WITHIN} seconds.")
            time.sleep(PAUSE)


def new_link(number: int, access: Access) -> Link:
    return Link(PORTS, access, number)


def verify(url: str) -> list[str]:
    """Run `manage.py verify` on the database of a URL; return a sentence for each problem."""
    environment = {**os.environ, "DATABASE_URL": url, "POOLER": ""}
    command = [sys.executable, MANAGE[1], "verify"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"verify: {line}" for line in (done.stdout + done.stderr).splitlines()]


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
