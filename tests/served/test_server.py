"""The production server: behavior that Django's test client does not show."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.serving import ask, bearer, environment_of, manage, serving

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the server is the same, so once is enough")


@pytest.fixture
def environment(tmp_path):
    return environment_of(f"sqlite:///{tmp_path}/school.sqlite3")


@pytest.fixture
def port(environment) -> Iterator[int]:
    """The port of `manage.py serve` with a little data."""
    copy_sqlite(environment)
    manage(environment, "seed_demo", "--students=4", "--courses=4", "--enrollments=4")
    with serving(environment, "--workers=1") as port:
        yield port


def ask_in_chunks(port, method, path, body, **headers):
    """
    Send a chunked request in one piece.

    The server responds after the headers and closes; a client that is still sending may lose the response.
    """
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Transfer-Encoding: chunked"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connected:
        connected.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + chunks)
        answer = http.client.HTTPResponse(connected)
        answer.begin()
        return answer.status, json.loads(answer.read())


def test_a_body_without_a_length_is_refused_and_not_read_as_empty(environment, port):
    headers = bearer(environment, port, "students:read students:write")
    before = ask(port, "GET", "/api/v1/students/1", **headers).body

    chunked = ask_in_chunks(port, "PATCH", "/api/v1/students/1", b'{"given_name": "New"}', **headers)
    whole = ask(port, "PATCH", "/api/v1/students/1", b'{"given_name": "New"}', **headers)

    assert (chunked[0], chunked[1]["code"]) == (411, "length_required")
    assert (whole.status, whole.body) == (200, {**before, "given_name": "New"})
