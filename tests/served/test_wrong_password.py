"""A wrong password in DATABASE_URL: each program names it in one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from tests.support.databases import ROOT
from tests.support.postgres import find_binaries, running_server
from tests.support.serving import environment_of, free_port

IS_MISSING = find_binaries() is None
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no passwords"),
    pytest.mark.skipif(IS_MISSING and os.environ.get("REQUIRE_ALL") != "1", reason="no PostgreSQL on this machine"),
]
FILE = "the path of a file"
REASON = 'FATAL:  password authentication failed for user "clerk"'


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The environment of a program that has a wrong password."""
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as server:
        with psycopg.connect(server.url, autocommit=True) as direct:
            direct.execute("CREATE ROLE clerk LOGIN PASSWORD 'right'")
            direct.execute("CREATE DATABASE clerk OWNER clerk")
        rules = server.folder / "data/pg_hba.conf"
        rules.write_text(f"host all clerk 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        with psycopg.connect(server.url, autocommit=True) as direct:
            direct.execute("SELECT pg_reload_conf()")
        yield environment_of(f"postgres://clerk:wrong@127.0.0.1:{server.port}/clerk")


def start(environment, *command):
    return subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "command", [["migrate"], ["verify"], ["housekeeping"], ["work", "--once"], ["backup", FILE], ["export_students"]]
)
def test_a_command_ends_with_one_line(environment, tmp_path, command):
    file = tmp_path / "school.backup"
    process = start(environment, *[str(file) if each == FILE else each for each in command])

    output, _ = process.communicate(timeout=60)

    [line] = output.splitlines()
    assert (process.returncode, REASON in line, "wrong" in line, file.exists()) == (1, True, False, False)


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (["serve", "--port=PORT"], "Requests are answered with 503 until the database answers."),
        (["work"], "The worker waits until the database answers."),
    ],
)
def test_a_server_and_a_worker_start_with_a_warning(environment, command, ending):
    process = start(environment, *[each.replace("PORT", str(free_port())) for each in command])

    line = process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert line.endswith(f"{REASON}). {ending}\n")
