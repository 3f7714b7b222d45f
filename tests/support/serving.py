"""Run the production server by `manage.py serve`, for tests that send requests over HTTP."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Message
    seconds: float


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(environment: Mapping[str, str], *arguments: str) -> Iterator[int]:
    """Serve an existing database, and yield the port."""
    with serving_process(environment, *arguments) as (port, _server):
        yield port


@contextmanager
def serving_process(environment: Mapping[str, str], *arguments: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Serve an existing database, and yield the port and the main process, whose children are the workers."""
    port = free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port), *arguments]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _attempt in range(1_200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0 or server.poll() is not None:
                    break
            time.sleep(0.1)
        yield port, server
    finally:
        server.terminate()
        server.wait()


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request(method, path, body, headers)
    answer = client.getresponse()
    content = answer.read()
    client.close()
    is_json = answer.headers.get_content_type().endswith("json")
    parsed = json.loads(content) if is_json and content else content.decode()
    return Answer(answer.status, parsed, answer.headers, time.monotonic() - began)


def bearer(environment: Mapping[str, str], port: int, scope: str) -> dict[str, str]:
    """Create an API client with these scopes, get a token, and return the headers with the token."""
    keys = json.loads(manage(environment, "create_api_client", f"program {port}", f"--scope={scope}", "--json"))
    form = f"grant_type=client_credentials&client_id={keys['client_id']}&client_secret={keys['client_secret']}"
    token = ask(port, "POST", "/oauth/token", form, **FORM).body["access_token"]
    return {"Authorization": f"Bearer {token}", **JSON}


def environment_of(url: str, **more: str) -> dict[str, str]:
    """Return the environment of a process for this database, without the timeouts that apply only to the server."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LOCK_TIMEOUT", "DATABASE_TIMEOUT")}
    return {**kept, "DATABASE_URL": url, "LOG_LEVEL": "CRITICAL", **more}
