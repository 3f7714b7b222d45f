"""
A failover to a real standby: no acknowledged write is lost, and writes go to the new primary without a restart.

The servers of this test replicate by streaming; the standby is made by pg_basebackup and promoted.
"""

import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from tests.support.postgres import FAST, Server, find_binaries, running_server
from tests.support.serving import ask, bearer, environment_of, manage, serving

BACK = 5.0  # seconds from the promotion to a successful write

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no standby"),
    pytest.mark.skipif(find_binaries() is None, reason="no PostgreSQL on this machine"),
]

numbers = count()


class Standby(Server):
    """A copy of a running server that follows it."""

    def __init__(self, binaries: Path, primary: Server) -> None:
        super().__init__(binaries, FAST)
        self.initdb = [binaries / "pg_basebackup", "-D", self.folder / "data", "--write-recovery-conf"]
        self.initdb += ["--checkpoint=fast", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "school"]

    def promote(self) -> None:
        self._run(*self.control, "promote")


@pytest.fixture
def primary() -> Iterator[Server]:
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as server:
        manage(environment_of(server.url), "migrate", "--verbosity=0")
        yield server


@pytest.fixture
def standby(primary) -> Iterator[Standby]:
    binaries = find_binaries()
    assert binaries is not None
    server = Standby(binaries, primary)
    with running_server(binaries, server=server):
        yield server


def add_student(port, headers):
    student = {"student_number": f"N-{next(numbers)}", "given_name": "A", "family_name": "B"}
    return student["student_number"], ask(port, "POST", "/api/v1/students", json.dumps(student), **headers)


def query(url, statement):
    with psycopg.connect(url, autocommit=True) as direct:
        cursor = direct.execute(statement)
        return cursor.fetchall() if cursor.description else []


def wait_until(is_true):
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_writes_go_to_the_new_primary_and_none_is_lost(primary, standby):
    both = f"postgres://school@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    environment = environment_of(f"{both}?target_session_attrs=read-write")
    with serving(environment, "--workers=1") as port:
        headers = bearer(environment, port, "students:read students:write")
        written = []
        for _each in range(5):
            number, answer = add_student(port, headers)
            assert answer.status == 201
            written.append(number)

        # The primary is demoted: its connections stay open, and it refuses writes.
        query(primary.url, "ALTER SYSTEM SET default_transaction_read_only = on")
        query(primary.url, "SELECT pg_reload_conf()")
        wait_until(lambda: query(primary.url, "SHOW default_transaction_read_only") == [("on",)])
        [(position,)] = query(primary.url, "SELECT pg_current_wal_lsn()::text")
        arrived = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(lambda: query(standby.url, arrived) == [(True,)])
        refused = [add_student(port, headers)[1] for _each in range(5)]
        promoted = time.monotonic()
        standby.promote()

        while True:
            number, answer = add_student(port, headers)
            if answer.status == 201:
                break
            refused.append(answer)
            time.sleep(0.05)
        seconds = time.monotonic() - promoted

    written.append(number)
    stored = query(standby.url, "SELECT student_number FROM students_student ORDER BY id")
    assert [number for (number,) in stored] == written
    assert {(each.status, each.body["code"], each.headers["Retry-After"]) for each in refused} == {(503, "busy", "2")}
    assert seconds < BACK


def test_a_write_that_no_standby_confirms_is_not_acknowledged(primary, standby):
    """PostgreSQL ends the wait for the standby at a statement timeout, and would report the commit as successful."""
    query(primary.url, "ALTER ROLE school SET synchronous_commit = on")
    with serving(environment_of(primary.url, DATABASE_TIMEOUT="5"), "--workers=1") as port:
        headers = bearer(environment_of(primary.url), port, "students:read students:write")
        query(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        query(primary.url, "SELECT pg_reload_conf()")
        wait_until(lambda: query(primary.url, "SELECT sync_state FROM pg_stat_replication") == [("sync",)])
        confirmed, answer = add_student(port, headers)
        assert answer.status == 201

        standby.freeze()
        try:
            _number, unconfirmed = add_student(port, headers)
            visible = query(primary.url, "SELECT student_number FROM students_student")
        finally:
            standby.thaw()

    assert (unconfirmed.status, unconfirmed.body["code"]) == (503, "busy")
    assert "may have been applied" in unconfirmed.body["detail"]
    assert unconfirmed.seconds < 6.0
    assert visible == [(confirmed,)]


def test_a_server_on_a_standby_reads_and_reports_that_it_is_not_ready(primary, standby):
    with serving(environment_of(primary.url), "--workers=1") as port:
        headers = bearer(environment_of(primary.url), port, "students:read students:write")
    [(position,)] = query(primary.url, "SELECT pg_current_wal_lsn()::text")
    wait_until(lambda: query(standby.url, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])

    with serving(environment_of(standby.url), "--workers=1") as port:
        reading = ask(port, "GET", "/api/v1/students", **headers)
        _number, writing = add_student(port, headers)
        ready = ask(port, "GET", "/health/ready")
        alive = ask(port, "GET", "/health")

    assert (reading.status, writing.status, writing.body["code"]) == (200, 503, "busy")
    assert (ready.status, ready.body["database"], alive.status) == (503, "read-only", 200)


def test_a_standby_shows_no_changes_because_it_lacks_the_locks_of_writers(primary, standby):
    with serving(environment_of(primary.url), "--workers=1") as port:
        headers = bearer(environment_of(primary.url), port, "changes:read students:read students:write")
        before = ask(port, "GET", "/api/v1/changes?kinds=students&after=latest", **headers).body["cursor"]
        add_student(port, headers)
        after = ask(port, "GET", f"/api/v1/changes?kinds=students&after={before}", **headers)
    [(position,)] = query(primary.url, "SELECT pg_current_wal_lsn()::text")
    wait_until(lambda: query(standby.url, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])

    with serving(environment_of(standby.url), "--workers=1") as port:
        answers = [
            ask(port, "GET", f"/api/v1/changes?kinds=students&after={cursor}", **headers)
            for cursor in ("latest", before, after.body["cursor"])
        ]

    assert len(after.body["results"]) == 1
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[2].body["results"] == []
