"""An SQLite file on a full disk: reads continue, writes are refused, and no acknowledged write is lost."""

import json

import pytest
from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.serving import ask, bearer, environment_of, serving
from tests.support.tmpfs import full, small_disk

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="it is about SQLite")


def test_with_a_full_disk_reads_continue_and_no_acknowledged_write_is_lost(tmp_path):
    with small_disk(tmp_path, megabytes=24) as disk:
        environment = environment_of(f"sqlite:///{disk}/school.sqlite3")
        copy_sqlite(environment)
        with serving(environment, "--workers=1") as port:
            program = bearer(environment, port, "students:read students:write")

            def write(number):
                student = {"student_number": f"N-{number}", "given_name": "A", "family_name": "B"}
                return ask(port, "POST", "/api/v1/students", json.dumps(student), **program)

            with full(disk):
                answers = [write(number) for number in range(200)]
                reads = [ask(port, "GET", "/api/v1/students?page_size=500", **program) for _ in range(5)]
            back = write("back")

    refused = [each for each in answers if each.status != 201]
    assert {(each.status, each.body["code"], each.headers["Retry-After"]) for each in refused} == {(503, "busy", "2")}
    assert [(each.status, len(each.body["results"])) for each in reads] == [(200, len(answers) - len(refused))] * 5
    assert back.status == 201
