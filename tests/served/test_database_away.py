"""
A PostgreSQL server that is stopped, frozen, full or busy: 503 in time, and automatic recovery.

The web server is the production server, and the database server is a real one that only these tests use.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from django.db import connection

from tests.support.postgres import Server, find_binaries, running_server
from tests.support.serving import Answer, ask, bearer, environment_of, manage, serving
from tests.support.tmpfs import full, small_disk

IN_TIME = 6.0  # maximum seconds to a response, in any state of the database
BACK = 1.0  # maximum seconds from the return of the database to a successful write
SLOTS = 30
CROWD = 40  # more than the threads of the web server
# Without autovacuum: PostgreSQL refuses new connections to a database on a full disk after a vacuum of its catalogs.
DURABLE = ["-c", f"max_connections={SLOTS}", "-c", "autovacuum=off"]

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is never away"),
    pytest.mark.skipif(find_binaries() is None, reason="no PostgreSQL on this machine to stop"),
]


class School:
    """A web server, its database, and an API client."""

    def __init__(self, database: Server, url: str, port: int, headers: dict[str, str]) -> None:
        self.database, self.url, self.port, self.headers = database, url, port, headers
        self.numbers = iter(range(1_000_000))

    def read(self) -> Answer:
        return ask(self.port, "GET", "/api/v1/students?page_size=1", **self.headers)

    def write(self) -> Answer:
        student = {"student_number": f"N-{next(self.numbers)}", "given_name": "A", "family_name": "B"}
        return ask(self.port, "POST", "/api/v1/students", json.dumps(student), **self.headers)

    def crowd(self) -> list[Answer]:
        """Send many reads and writes simultaneously."""
        with ThreadPoolExecutor(CROWD) as pool:
            asked = [pool.submit(self.write if n % 2 else self.read) for n in range(CROWD)]
            return [each.result() for each in asked]

    def seconds_to_service(self) -> float:
        """Return the number of seconds from now until a write succeeds."""
        began = time.monotonic()
        while time.monotonic() < began + 20 and self.write().status != 201:
            time.sleep(0.02)
        return time.monotonic() - began

    def students(self) -> int:
        with psycopg.connect(self.url) as direct:
            [count] = direct.execute("SELECT count(*) FROM students_student").fetchone() or [0]
            return int(count)


@contextmanager
def school_on(database: Server, url: str) -> Iterator[School]:
    environment = environment_of(url)
    manage(environment, "migrate", "--verbosity=0")
    with serving(environment, "--workers=2") as port:
        headers = bearer(environment, port, "students:read students:write enrollments:read enrollments:write")
        yield School(database, url, port, headers)


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries, DURABLE) as database, school_on(database, database.url) as school:
        yield school


def problems(answers: list[Answer]) -> set[tuple[int, str, str, str | None]]:
    """Return status, content type, code and Retry-After of refused requests."""
    return {
        (each.status, each.headers["Content-Type"], each.body["code"], each.headers.get("Retry-After"))
        for each in answers
    }


BUSY = {(503, "application/problem+json", "busy", "2")}


def test_a_stopped_database_is_reported_and_reconnected(school):
    assert {each.status for each in school.crowd()} == {200, 201}
    there = school.students()

    school.database.stop()
    answers = school.crowd()
    school.database.start()

    assert problems(answers) == BUSY
    assert max(each.seconds for each in answers) < IN_TIME
    assert school.seconds_to_service() < BACK
    assert school.students() == there + 1


def test_a_frozen_database_is_reported_in_time_and_reconnected(school):
    assert {each.status for each in school.crowd()} == {200, 201}
    there = school.students()

    school.database.freeze()
    try:
        answers = [*school.crowd(), *school.crowd(), school.read(), school.write()]
    finally:
        school.database.thaw()

    assert problems(answers) == BUSY
    assert max(each.seconds for each in answers) < IN_TIME
    assert school.seconds_to_service() < BACK
    assert school.students() == there + 1


def test_acknowledged_writes_survive_a_freeze_during_the_work(school):
    there = school.students()

    with ThreadPoolExecutor(1) as pool:
        answers: list[Answer] = school.crowd()
        freezing = pool.submit(freeze_after, school.database, 0.3)
        while not freezing.done() or len(answers) < CROWD * 4:
            answers += school.crowd()
    school.database.thaw()

    written = [each for each in answers if each.status == 201]
    unknown = [each for each in answers if each.status == 503 and "may have been applied" in each.body["detail"]]
    assert max(each.seconds for each in answers) < IN_TIME
    assert school.seconds_to_service() < BACK
    assert len(written) > 0
    assert there + len(written) + 1 <= school.students() <= there + len(written) + len(unknown) + 1


def freeze_after(database: Server, seconds: float) -> None:
    time.sleep(seconds)
    database.freeze()


def test_a_database_without_free_connections_is_reported_and_reconnected(school):
    with ExitStack() as taken:
        mine = taken.enter_context(psycopg.connect(school.url, autocommit=True))
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'school' AND pid <> %s"
        mine.execute(others, [mine.info.backend_pid])
        try:
            while True:
                taken.enter_context(psycopg.connect(school.url))
        except psycopg.OperationalError:
            pass
        answers = school.crowd()

    assert problems(answers) == BUSY
    assert max(each.seconds for each in answers) < IN_TIME
    assert school.seconds_to_service() < BACK


def test_a_lock_timeout_is_reported_and_does_not_block_other_requests(school):
    student = school.write().body["id"]
    name = f'{{"given_name": "B{student}"}}'
    change = ("PATCH", f"/api/v1/students/{student}", name)

    with psycopg.connect(school.url) as direct, ThreadPoolExecutor(1) as pool:
        direct.execute("SELECT id FROM students_student WHERE id = %s FOR UPDATE", [student])
        waiting = pool.submit(ask, school.port, *change, **school.headers)
        others = [school.read(), school.write()]
        refused = waiting.result()

    assert problems([refused]) == BUSY
    assert 4 < refused.seconds < IN_TIME
    assert [each.status for each in others] == [200, 201]
    assert max(each.seconds for each in others) < BACK
    assert ask(school.port, *change, **school.headers).status == 200


def test_with_a_full_disk_reads_continue_and_no_acknowledged_write_is_lost(school):
    account = school.database.account
    owner = (account.pw_uid, account.pw_gid) if account else None
    with small_disk(school.database.folder, megabytes=64, owner=owner) as disk:
        with psycopg.connect(school.url, autocommit=True) as direct:
            direct.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            direct.execute("CREATE DATABASE small TABLESPACE small")
        try:
            with school_on(school.database, school.url.replace("/postgres", "/small")) as on_it:
                on_it.crowd()
                before = on_it.students()
                with full(disk):
                    answers = [on_it.write() for _ in range(300)]
                    reads = [on_it.read() for _ in range(20)]
                    there = on_it.students()
                back = on_it.seconds_to_service()
        finally:
            with psycopg.connect(school.url, autocommit=True) as direct:
                direct.execute("DROP DATABASE small WITH (FORCE)")
                direct.execute("DROP TABLESPACE small")

    refused = [each for each in answers if each.status != 201]
    assert problems(refused) == BUSY
    assert {each.status for each in reads} == {200}
    assert max(each.seconds for each in [*answers, *reads]) < IN_TIME
    assert there == before + len(answers) - len(refused)
    assert back < BACK


def test_a_command_survives_a_freeze_longer_than_the_limit_of_requests(school, tmp_path):
    file = tmp_path / "students.csv"
    file.write_text("student_number,given_name,family_name\n" + "".join(f"C-{n},A,B\n" for n in range(20_000)))
    there = school.students()

    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(manage, environment_of(school.url), "import_students", str(file))
        time.sleep(3)  # which it needs to start
        school.database.freeze()
        time.sleep(IN_TIME)
        school.database.thaw()
        said = command.result()

    assert "20000 of 20000 rows were applied." in said
    assert school.students() == there + 20_000
