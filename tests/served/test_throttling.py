"""Exact counting of requests by the production server with several processes, on the database of the run."""

import json
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from django.db import connection

from school.http import rate_counter
from tests.support.databases import copy_sqlite
from tests.support.races import BackgroundCall, a_lock_is_waited_for, race, uncommitted
from tests.support.serving import FORM, manage, serving

FOUR = "--workers=4"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(tmp_path):
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{tmp_path}/school.sqlite3"
    else:
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**known)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE school_counted")  # without a model, so no test empties it
    found = {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "CRITICAL", "TOKEN_CACHE_SECONDS": "30"}
    if connection.vendor == "sqlite":
        copy_sqlite(found)
    return found


def ask(port, method, path, body=None, headers=()):
    asking = HTTPConnection("127.0.0.1", port, timeout=60)
    asking.putrequest(method, path)
    for name, value in headers:
        asking.putheader(name, value)
    asking.putheader("Content-Length", str(len(body or "")))
    asking.endheaders((body or "").encode())
    answer = asking.getresponse()
    content = answer.read()
    asking.close()
    return answer.status, answer.headers, content


def client_of(environment, port, name):
    keys = json.loads(manage(environment, "create_api_client", name, "--scope=courses:read", "--json"))
    form = f"grant_type=client_credentials&client_id={keys['client_id']}&client_secret={keys['client_secret']}"
    token = json.loads(ask(port, "POST", "/oauth/token", form, FORM.items())[2])["access_token"]
    return [("Authorization", f"Bearer {token}")]


def statuses(port, times, headers):
    """Send this many requests, sixteen at a time, each over its own connection, so that every process gets some."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: ask(port, "GET", "/api/v1/terms", None, headers(n)), range(times)))
    return answers, Counter(status for status, _headers, _body in answers)


def test_of_a_hundred_requests_to_four_processes_twenty_are_accepted(environment):
    with serving({**environment, "API_RATE_CLIENT": "20"}, FOUR) as port:
        portal, lms = (client_of(environment, port, name) for name in ("portal", "lms"))
        answers, counted = statuses(port, 100, lambda n: portal)
        other = ask(port, "GET", "/api/v1/terms", None, lms)

    assert counted == {200: 20, 429: 80}
    rests = sorted(
        int(headers["RateLimit"].split(";")[1].removeprefix("r="))
        for status, headers, _body in answers
        if status == 200
    )
    assert rests == list(range(20))
    [refused] = {
        (headers["Content-Type"], json.loads(body)["code"]) for status, headers, body in answers if status == 429
    }
    assert refused == ("application/problem+json", "too_many_requests")
    waits = {int(headers["Retry-After"]) for status, headers, _body in answers if status == 429}
    assert waits <= set(range(1, 61))
    assert {headers["RateLimit-Policy"] for _status, headers, _body in answers} == {'"client";q=20;w=60'}
    assert other[0] == 200


@pytest.mark.parametrize("kind", ["nothing", "a wrong token"])
def test_an_ip_address_is_counted_despite_forged_headers(environment, kind):
    def spoofed(n):
        claims = [
            ("X-Forwarded-For", f"198.51.100.{n}"),
            ("X-Forwarded-For", f"203.0.113.{n}"),
            ("X-Real-IP", f"192.0.2.{n}"),
        ]
        return claims + ([("Authorization", f"Bearer {n}")] if kind == "a wrong token" else [])

    with serving({**environment, "API_RATE_ANONYMOUS": "20", "API_RATE_FAILED": "20"}, FOUR) as port:
        _answers, counted = statuses(port, 200, spoofed)

    assert counted == {401: 20, 429: 180}


@pytest.mark.parametrize("proxies", ["1", "127.0.0.0/8"])
def test_behind_a_configured_proxy_each_client_is_counted_and_cannot_evade_it(environment, proxies):
    def by_proxy(n):
        # Addresses claimed by the client, in its own header line and in that of the proxy; then its real address.
        return [("X-Forwarded-For", f"192.0.2.{n}"), ("X-Forwarded-For", f"192.0.2.{n}, 198.51.100.{n % 2}")]

    with serving({**environment, "API_RATE_ANONYMOUS": "20", "TRUSTED_PROXIES": proxies}, FOUR) as port:
        _answers, counted = statuses(port, 100, by_proxy)

    assert counted == {401: 40, 429: 60}


def test_guessing_secrets_in_parallel_locks_the_client_even_with_the_right_secret(environment):
    with serving(environment, FOUR) as port:
        keys = json.loads(manage(environment, "create_api_client", "portal", "--scope=courses:read", "--json"))
        form = f"grant_type=client_credentials&client_id={keys['client_id']}&client_secret="

        def guess(secret):
            return ask(port, "POST", "/oauth/token", form + str(secret), FORM.items())[0]

        with ThreadPoolExecutor(8) as pool:
            counted = Counter(pool.map(guess, range(60)))
        right = guess(keys["client_secret"])

    assert (set(counted), counted[401] <= 4 + 8, right) == (
        {401, 429},
        True,
        429,
    )  # and the requests that were already running


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts under a lock")
def test_many_requests_that_start_a_window_simultaneously_start_one():
    many, rounds = 8, 100
    taken: defaultdict[int, list[Any]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE school_counted")

    race(lambda _runner, number: taken[number].append(rate_counter.count(f"round {number}", many).taken), rounds, many)

    assert [sorted(taken[number]) for number in range(rounds)] == [[*range(1, many + 1)]] * rounds


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts under a lock")
def test_a_request_waits_for_the_one_that_starts_the_window():
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE school_counted")

    with uncommitted(lambda: rate_counter.count("client", 8)):
        second = BackgroundCall(lambda: rate_counter.count("client", 8).taken)
        is_waiting = a_lock_is_waited_for()
    second.join()

    assert (is_waiting, second.error, second.result) == (True, None, 2)
