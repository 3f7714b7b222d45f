"""School behind a real PgBouncer with transaction pooling: timeouts apply, lists are whole, and promises are kept."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psycopg
import pytest
from django.db import connection

from tests.support.databases import ROOT
from tests.support.pgbouncer import find_pgbouncer, pgbouncer
from tests.support.postgres import find_binaries, running_server
from tests.support.serving import ask, bearer, environment_of, free_port, manage, serving

CLIENTS = 100
POOL = 10
SEATS = 40
SECONDS = float(os.environ.get("POOLER_SECONDS", "5"))
IN_TIME = 6.0  # maximum seconds to a response, in any state of the database
ROSTER = 50_000

IS_MISSING = find_pgbouncer() is None or find_binaries() is None
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pooler"),
    pytest.mark.skipif(
        IS_MISSING and os.environ.get("REQUIRE_ALL") != "1", reason="no PgBouncer on this machine: install pgbouncer"
    ),
]


class School(NamedTuple):
    direct_url: str
    environment: dict[str, str]
    port: int
    headers: dict[str, str]


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as server, pgbouncer(server.url, pool_size=POOL) as url:
        manage(environment_of(server.url), "migrate", "--verbosity=0")
        environment = environment_of(url, POOLER="transaction")
        with serving(environment, "--workers=2") as port:
            scopes = "changes:read courses:write students:write enrollments:write"
            yield School(server.url, environment, port, bearer(environment, port, scopes))


def query(url, statement, *values):
    with psycopg.connect(url, autocommit=True) as direct:
        cursor = direct.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def post(school, path, **body):
    return ask(school.port, "POST", f"/api/v1/{path}", json.dumps(body), **school.headers)


def make_course(school, code, **fields):
    answer = post(school, "courses", code=code, name="A course", level="introductory", **fields)
    assert answer.status == 201
    return answer.body["id"]


def make_students(school, count, prefix):
    query(
        school.direct_url,
        "INSERT INTO students_student (student_number, given_name, family_name, email, is_active)"
        " SELECT %s || n, 'A', 'B', '', true FROM generate_series(1, %s::int) n",
        prefix,
        count,
    )


def test_the_lock_timeout_applies_and_stays_with_its_transaction(school):
    course_id = make_course(school, "LOCKED")
    make_students(school, 1, "locked-")
    path = "students/number:locked-1/courses"

    with psycopg.connect(school.direct_url) as other:
        other.execute("SELECT 1 FROM courses_course WHERE id = %s FOR UPDATE", [course_id])
        answer = post(school, path, course_id=course_id)
        # Without a timeout of the server, the client alone would have given up.
        waiting = query(school.direct_url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    assert (answer.status, answer.body["code"], waiting) == (503, "busy", [(0,)])
    assert answer.seconds < IN_TIME
    assert post(school, path, course_id=course_id).status == 201
    through_pooler = school.environment["DATABASE_URL"]
    assert {query(through_pooler, "SHOW lock_timeout")[0] for _each in range(POOL)} == {("0",)}


def test_a_roster_of_fifty_thousand_rows_comes_whole(school, tmp_path):
    course_id = make_course(school, "ROSTER")
    make_students(school, ROSTER, "roster-")
    query(
        school.direct_url,
        "INSERT INTO students_studentcourse (student_id, course_id, status, enrolled_on, grade, version, created_at,"
        " updated_at) SELECT id, %s, 'enrolled', '2026-01-01', '', 1, now(), now() FROM students_student"
        " WHERE student_number LIKE 'roster-%%'",
        course_id,
    )
    file = tmp_path / "roster.csv"

    manage(school.environment, "export_enrollments", "--output", str(file))

    numbers = {line.partition(",")[0] for line in file.read_text().splitlines() if line.startswith("roster-")}
    assert len(numbers) == ROSTER


def test_a_crowd_gets_every_seat_once_and_the_feed_has_every_change(school):
    """More clients than connections enroll in and leave a course with few seats."""
    course_id = make_course(school, "CROWDED", capacity=SEATS)
    make_students(school, CLIENTS, "crowd-")
    deadline = time.monotonic() + SECONDS
    before = query(school.direct_url, "SELECT coalesce(max(id), 0) FROM students_enrollmentevent")[0][0]

    def act(number):
        path = f"students/number:crowd-{number}/courses"
        statuses: Counter[int] = Counter()
        acknowledged = 0
        is_enrolled = False
        while time.monotonic() < deadline:
            if is_enrolled:
                answer = ask(school.port, "DELETE", f"/api/v1/{path}/{course_id}", **school.headers)
                is_enrolled = answer.status != 204
                acknowledged += answer.status == 204
            else:
                answer = post(school, path, course_id=course_id)
                is_enrolled = answer.status == 201
                acknowledged += is_enrolled
            statuses[answer.status] += 1
        return statuses, acknowledged, is_enrolled

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(act, range(1, CLIENTS + 1)))

    statuses = {status for each in results for status in each[0]}
    [(entries,)] = query(school.direct_url, "SELECT count(*) FROM students_enrollmentevent WHERE id > %s", before)
    [(enrolled,)] = query(
        school.direct_url,
        "SELECT count(*) FROM students_studentcourse WHERE course_id = %s AND status = 'enrolled'",
        course_id,
    )
    print(f"\n{CLIENTS} clients, {POOL} connections, {SECONDS:.0f} s: {entries:,} changes, answers {sorted(statuses)}")
    assert statuses <= {201, 204, 409}
    assert entries == sum(each[1] for each in results)
    assert enrolled == sum(each[2] for each in results)
    assert enrolled <= SEATS
    assert entries > CLIENTS

    fed, cursor, has_more = [], "", True
    while has_more:
        page = ask(school.port, "GET", f"/api/v1/changes?limit=500{cursor}", **school.headers)
        assert page.status == 200, page.body
        fed += [each["id"] for each in page.body["results"]]
        cursor, has_more = f"&after={page.body['cursor']}", page.body["has_more"]
    stored = [each for (each,) in query(school.direct_url, "SELECT id FROM students_enrollmentevent ORDER BY id")]
    assert fed == stored


def start_error(url):
    command = [sys.executable, "manage.py", "serve", "--port", str(free_port())]
    return subprocess.run(command, cwd=ROOT, env=environment_of(url), capture_output=True, text=True, check=False)


def test_a_pooler_that_drops_the_options_is_named_at_the_start(school):
    with pgbouncer(school.direct_url, more="ignore_startup_parameters = options") as url:
        result = start_error(url)

    assert (result.returncode, result.stderr) == (
        1,
        "CommandError: The options of the connection, among them its timeouts, do not reach the database: a pooler "
        "drops them. Set POOLER=transaction, or connect directly.\n",
    )


def test_commands_that_need_a_direct_connection_refuse_a_pooler(school, tmp_path):
    command = [sys.executable, "manage.py", "backup", str(tmp_path / "backup")]
    result = subprocess.run(command, cwd=ROOT, env=school.environment, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (
        1,
        "CommandError: A backup needs a direct connection: DATABASE_URL of the server, and no POOLER.\n",
    )
