"""A user that the database refuses, for its password or for missing rights: each program says so in one line."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from tests.support.databases import ROOT
from tests.support.postgres import Server, find_binaries, running_server
from tests.support.serving import environment_of, free_port, manage

IS_MISSING = find_binaries() is None
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no passwords"),
    pytest.mark.skipif(IS_MISSING and os.environ.get("REQUIRE_ALL") != "1", reason="no PostgreSQL on this machine"),
]
FILE = "the path of a file"
REASON = 'FATAL:  password authentication failed for user "clerk"'


NEEDS_TO_OWN = "The user of DATABASE_URL needs to own the database."
AGAIN = "A migration is applied completely or not at all: run manage.py migrate again."
COMMANDS = [["migrate"], ["verify"], ["housekeeping"], ["work", "--once"], ["backup", FILE], ["export_students"]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server. Its user clerk owns one empty database and has no rights in the others."""
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as made:
        run(made, "CREATE ROLE clerk LOGIN PASSWORD 'right'")
        for database in ("clerk OWNER clerk", "empty", "migrated"):
            run(made, f"CREATE DATABASE {database}")
        yield made


def run(server: Server, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as direct:
        direct.execute(statement)


def environment_for(server: Server, database: str, user: str = "clerk:right") -> dict[str, str]:
    return environment_of(f"postgres://{user}@127.0.0.1:{server.port}/{database}")


@pytest.fixture(scope="module")
def environment(server) -> dict[str, str]:
    """The environment of a program that has a wrong password."""
    rules = server.folder / "data/pg_hba.conf"
    rules.write_text(f"host all clerk 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    run(server, "SELECT pg_reload_conf()")
    return environment_for(server, "clerk", "clerk:wrong")


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


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_with_a_wrong_password_ends_with_one_line(environment, tmp_path, command):
    file = tmp_path / "school.backup"
    process = start(environment, *[str(file) if each == FILE else each for each in command])

    output, _ = process.communicate(timeout=120)

    [line] = output.splitlines()
    assert (process.returncode, REASON in line, "wrong" in line, file.exists()) == (1, True, False, False)


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (["serve", "--port=PORT"], "Requests are answered with 503 until the database answers."),
        (["work"], "The worker waits until the database answers."),
    ],
)
def test_a_server_and_a_worker_with_a_wrong_password_start_with_a_warning(environment, command, ending):
    process = start(environment, *[each.replace("PORT", str(free_port())) for each in command])

    line = process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert line.endswith(f"{REASON}). {ending}\n")


@pytest.fixture(scope="module")
def without_rights(server) -> dict[str, str]:
    """The environment of a program whose user has no rights in a database that is up to date."""
    manage(environment_of(f"{server.url.rpartition('/')[0]}/migrated"), "migrate", "--verbosity=0")
    return environment_for(server, "migrated")


@pytest.mark.parametrize("command", [*COMMANDS, ["list_imports"], ["serve", "--port=PORT"], ["work"]])
def test_the_error_for_a_user_without_rights_says_that_it_needs_to_own_the_database(without_rights, tmp_path, command):
    file = tmp_path / "school.backup"
    words = [str(file) if each == FILE else each.replace("PORT", str(free_port())) for each in command]

    process = start(without_rights, *words)
    output, _ = process.communicate(timeout=120)

    ending = f" {AGAIN}" if command == ["migrate"] else ""
    assert (process.returncode, re.sub(r"table \w+", "table", output), file.exists()) == (
        1,
        f"CommandError: The database failed (permission denied for table). {NEEDS_TO_OWN}{ending}\n",
        False,
    )


@pytest.mark.parametrize(
    ("database", "setting", "reason"),
    [
        ("empty", "off", f"(permission denied for schema public). {NEEDS_TO_OWN}"),
        ("clerk", "on", "(cannot execute CREATE TABLE in a read-only transaction)."),
    ],
)
def test_an_empty_database_that_takes_no_tables_is_not_migrated(server, database, setting, reason):
    run(server, f"ALTER ROLE clerk SET default_transaction_read_only = {setting}")
    process = start(environment_for(server, database), "migrate", "--verbosity=0")

    output, _ = process.communicate(timeout=120)
    run(server, "ALTER ROLE clerk RESET default_transaction_read_only")

    assert (process.returncode, output) == (1, f"CommandError: The database failed {reason} {AGAIN}\n")
