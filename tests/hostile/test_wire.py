"""Malformed lengths, chunks, headers and bytes, sent over a raw socket to the production server."""

import socket
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

import pytest
from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.serving import ask, bearer, environment_of, serving

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the server is the same, so once is enough")

BODY = b'{"student_number": "S", "given_name": "A", "family_name": "B"}'
POST = b"POST /api/v1/students HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /api/v1/students HTTP/1.1\r\nHost: localhost\r\n"
KIND = b"Content-Type: application/json\r\nAuthorization: Bearer TOKEN\r\n"

# For each name: the bytes, and the expected status; 0 means that the server closes the connection.
# The server ignores headers that are not ASCII.
WIRES: dict[str, tuple[bytes, int]] = {
    "two lengths": (POST + KIND + b"Content-Length: 62\r\nContent-Length: 5\r\n\r\n" + BODY, 400),
    "two lengths in one": (POST + KIND + b"Content-Length: 62, 5\r\n\r\n" + BODY, 400),
    "a negative length": (POST + KIND + b"Content-Length: -1\r\n\r\n" + BODY, 400),
    "a signed length": (POST + KIND + b"Content-Length: +62\r\n\r\n" + BODY, 400),
    "a length in hex": (POST + KIND + b"Content-Length: 0x3E\r\n\r\n" + BODY, 400),
    "an invalid length": (POST + KIND + b"Content-Length: x\r\n\r\n" + BODY, 400),
    "a length of 30 digits": (POST + KIND + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n" + BODY, 400),
    "a length of 1 TB": (POST + KIND + b"Content-Length: 1000000000000\r\n\r\n" + BODY, 413),
    "length and chunks": (
        POST + KIND + b"Content-Length: 62\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + BODY,
        411,
    ),
    "chunks": (POST + KIND + b"Transfer-Encoding: chunked\r\n\r\n3e\r\n" + BODY + b"\r\n0\r\n\r\n", 411),
    "broken chunks": (POST + KIND + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY, 411),
    "a chunk of 2^64": (POST + KIND + b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 16 + b"\r\n" + BODY, 411),
    "an unknown coding": (POST + KIND + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, 400),
    "chunked twice": (POST + KIND + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 411),
    "a header without a name": (GET + b": x\r\n\r\n", 400),
    "a header without a colon": (GET + b"x\r\n\r\n", 400),
    "a blank in a name": (GET + b"Content Length: 5\r\n\r\n", 400),
    "a blank behind a name": (GET + b"Content-Length : 5\r\n\r\n", 400),
    "NUL in a header": (GET + b"X: a\x00b\r\n\r\n", 400),
    "a folded header": (GET + b"X: a\r\n b\r\n\r\n", 400),
    "a bare CR": (GET + b"X: a\rb\r\n\r\n", 400),
    "raw bytes in the token": (GET + b"Authorization: Bearer \xff\xfe\r\n\r\n", 401),
    "raw bytes in Basic": (GET + b"Authorization: Basic \xff\xfe\r\n\r\n", 401),
    "raw bytes in Basic for a token": (
        b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic \xc3\x80\r\nContent-Length: 0\r\n\r\n",
        400,
    ),
    "raw bytes in a cookie": (GET + b"Cookie: sessionid=\xff\xfe\r\n\r\n", 401),
    "raw bytes in the type": (POST + KIND.replace(b"json", b"\xff") + b"Content-Length: 62\r\n\r\n" + BODY, 415),
    "raw bytes in the host": (GET.replace(b"localhost", b"\xff") + b"\r\n", 400),
    "raw bytes in a tag": (GET + b"Authorization: Bearer TOKEN\r\nIf-None-Match: \xff\r\n\r\n", 200),
    "raw bytes in the path": (GET.replace(b"students", b"\xff\xfe") + b"\r\n", 400),
    "raw bytes in the query": (GET.replace(b"students", b"students?search=\xff") + b"\r\n", 400),
    "NUL in the path": (GET.replace(b"students", b"\x00") + b"\r\n", 400),
    "a charset that decompresses": (GET + b"Content-Type: text/plain; charset=zip\r\n\r\n", 415),
    "a charset that is not for text": (
        GET.replace(b"students", b"students?search=a") + b"Content-Type: a/b; charset=rot13\r\n\r\n",
        415,
    ),
    "an unknown charset": (
        POST + b"Content-Type: a/b; charset=undefined\r\nContent-Length: 1\r\n\r\na",
        415,
    ),
    "two hosts": (GET + b"Host: evil.example\r\n\r\n", 400),
    "no host": (b"GET /api/v1/students HTTP/1.1\r\n\r\n", 400),
    "a whole address": (GET.replace(b"/api", b"http://evil.example/api") + b"\r\n", 401),
    "no address": (b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "an authority": (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
    "an unknown method": (GET.replace(b"GET", b"NONSENSE") + b"Authorization: Bearer TOKEN\r\n\r\n", 405),
    "a method of bytes": (GET.replace(b"GET", b"\xff\xff") + b"\r\n", 400),
    "HTTP/9.9": (GET.replace(b"1.1", b"9.9") + b"\r\n", 400),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, 400),
    "noise": (bytes(range(256)) * 4, 400),
    "a head of 1 MB": (GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
    "an address of 100 KB": (GET.replace(b"students", b"a" * 100_000) + b"\r\n", 414),
    "1,000 headers": (GET + b"".join(b"X-%d: a\r\n" % n for n in range(1_000)) + b"\r\n", 431),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    return environment_of(f"sqlite:///{tmp_path_factory.mktemp('wire')}/school.sqlite3")


@pytest.fixture(scope="module")
def port(environment) -> Iterator[int]:
    copy_sqlite(environment)
    with serving(environment, "--workers=1") as port:
        yield port


@pytest.fixture(scope="module")
def headers(environment, port) -> dict[str, str]:
    return bearer(environment, port, "students:read students:write")


def status_of(port: int, sent: bytes) -> int:
    """Send raw bytes; return the status of the response, 0 without a response."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
        try:
            connected.sendall(sent)
            answer = HTTPResponse(connected)
            answer.begin()
        except (ConnectionError, HTTPException):
            return 0
        return answer.status


@pytest.mark.parametrize("name", WIRES)
def test_the_server_rejects_a_malformed_request_and_keeps_running(port, headers, name):
    sent, expected = WIRES[name]

    status = status_of(port, sent.replace(b"TOKEN", headers["Authorization"].removeprefix("Bearer ").encode()))

    students = ask(port, "GET", "/api/v1/students", **headers)
    assert status == expected
    assert (students.status, students.body["results"]) == (200, [])
