"""Limits of every request that apply before authentication."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from bench.processes import tree
from tests.support.databases import copy_sqlite
from tests.support.serving import ask, environment_of, serving_process

pytestmark = pytest.mark.django_db

BACKSLASHES = 'sessionid="' + "\\" * 100_000 + '"'


@pytest.mark.parametrize("path", ["/api/v1/students", "/admin/", "/oauth/token", "/health", "/nowhere"])
def test_a_cookie_header_over_8_kb_is_rejected_before_parsing(path):
    client = Client()
    before = time.process_time()

    answer = client.get(path, HTTP_COOKIE=BACKSLASHES)

    assert time.process_time() - before < 1  # parsing it takes half a minute
    assert (answer.status_code, answer.json()["code"]) == (431, "cookies_too_large")


def test_cookies_of_up_to_8_kb_are_accepted(registrar_client):
    registrar_client.cookies["other"] = "x" * 8_000

    assert registrar_client.get("/admin/").status_code == 200


def test_cookies_of_a_request_with_a_token_are_ignored(api, registrar_client):
    session = registrar_client.cookies["sessionid"].value
    api.credentials(HTTP_AUTHORIZATION="Bearer unknown", HTTP_COOKIE=f"sessionid={session}")

    answer = api.get("/api/v1/students")

    assert (answer.status_code, answer.wsgi_request.COOKIES) == (401, {})


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_checks_accept_every_host(path):
    named, by_address = (Client().get(path, HTTP_HOST=host) for host in ("localhost", "10.0.0.5"))

    assert (by_address.status_code, by_address.content) == (named.status_code, named.content)
    assert by_address.status_code in (200, 503)


def test_every_other_address_rejects_an_unknown_host():
    paths = ["/", "/admin/", "/api/v1/students", "/oauth/token", "/api/schema", "/problems/unique", "/healthy"]

    assert {path: Client().get(path, HTTP_HOST="10.0.0.5").status_code for path in paths} == dict.fromkeys(paths, 400)


@pytest.mark.parametrize("path", ["students", "students/1", "enrollments", "changes", "nowhere"])
def test_shared_caches_may_not_store_api_responses(api, path):
    assert api.get(f"/api/v1/{path}")["Cache-Control"] == "private, no-cache"


def test_the_openapi_document_is_built_once_and_has_an_etag(client):
    first = client.get("/api/schema")
    before = time.process_time()

    again = client.get("/api/schema", headers={"Accept": f"{first['Content-Type']};version=1"})
    known = client.get("/api/schema", headers={"If-None-Match": first["ETag"]})

    assert time.process_time() - before < 0.2  # building it takes a second
    assert (again.status_code, again.content, again["ETag"]) == (200, first.content, first["ETag"])
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the server is the same, so once is enough")
def test_a_killed_server_process_is_replaced(tmp_path):
    environment = environment_of(f"sqlite:///{tmp_path}/school.sqlite3")
    copy_sqlite(environment)

    with serving_process(environment, "--workers=1") as (port, server):
        wait_until(lambda: is_listening(port))
        workers = set(tree(server.pid)) - {server.pid}
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not workers & set(tree(server.pid)))

        wait_until(lambda: is_listening(port))

        assert (server.poll(), bool(workers)) == (None, True)


def is_listening(port: int) -> bool:
    try:
        return ask(port, "GET", "/health/live").status == 200
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for up to half a minute; raise ``TimeoutError``."""
    ends_at = time.monotonic() + 30
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError
        time.sleep(0.1)
