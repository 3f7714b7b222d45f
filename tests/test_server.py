"""The production server itself: what Django's test client cannot see."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the server is the same, so once is enough")


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/school.sqlite3", "LOG_LEVEL": "WARNING"}


def manage(environment, *arguments):
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def port(environment) -> Iterator[int]:
    """The port of `manage.py serve` with a little data behind it."""
    manage(environment, "migrate", "--verbosity=0")
    manage(environment, "seed_demo", "--students=4", "--courses=4", "--enrollments=4")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _attempt in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def ask(port, method, path, body=None, **headers):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request(method, path, body, headers)
    answer = client.getresponse()
    content = json.loads(answer.read() or "null")
    client.close()
    return answer.status, content


def ask_in_chunks(port, method, path, body, **headers):
    """
    Send a chunked request in one piece.

    The server answers from the headers and closes: who still sends then may lose the answer.
    """
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Transfer-Encoding: chunked"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connected:
        connected.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + chunks)
        answer = http.client.HTTPResponse(connected)
        answer.begin()
        return answer.status, json.loads(answer.read())


def test_a_body_without_a_length_is_refused_and_not_taken_for_an_empty_one(environment, port):
    keys = json.loads(
        manage(environment, "create_api_client", "portal", "--scope=students:read students:write", "--json")
    )
    form = f"grant_type=client_credentials&client_id={keys['client_id']}&client_secret={keys['client_secret']}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    _status, token = ask(port, "POST", "/oauth/token", form, **kind)
    headers = {"Authorization": f"Bearer {token['access_token']}", "Content-Type": "application/json"}
    _status, before = ask(port, "GET", "/api/v1/students/1", **headers)

    chunked = ask_in_chunks(port, "PATCH", "/api/v1/students/1", b'{"given_name": "New"}', **headers)
    whole = ask(port, "PATCH", "/api/v1/students/1", b'{"given_name": "New"}', **headers)

    assert (chunked[0], chunked[1]["code"]) == (411, "length_required")
    assert whole == (200, {**before, "given_name": "New"})
