"""A migration that is interrupted is rolled back, and the next run continues."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.support.databases import ROOT
from tests.support.separate_databases import SeparateDatabases
from tests.support.serving import environment_of, manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def databases(tmp_path) -> Iterator[SeparateDatabases]:
    made = SeparateDatabases(tmp_path)
    yield made
    if connection.vendor == "postgresql":
        made.drop()


def test_a_stopped_migration_is_reported_in_one_line_and_can_be_continued(databases):
    name = databases.empty()
    environment = {**environment_of(databases.url(name)), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "migrate"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload]
    while "courses.0001" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGTERM)
    _output, error = process.communicate()

    assert process.returncode == 130
    assert error.splitlines() == [
        "CommandError: Interrupted. A migration is applied completely or not at all: run manage.py migrate again."
    ]
    manage(environment, "migrate", "--verbosity=0")
    with databases.use(name):
        call_command("migrate", check_unapplied=True, verbosity=0)


class KilledExecutor(MigrationExecutor):
    """An executor that is killed when it has made the tables of students, and is about to record it."""

    def record_migration(self, migration, *args, **options):  # type: ignore[override]  # the stubs have another signature
        if migration.app_label == "students":
            raise KeyboardInterrupt
        super().record_migration(migration, *args, **options)


def test_tables_exist_only_with_the_record_of_their_migration(databases):
    name = databases.empty()
    with databases.use(name):
        executor = KilledExecutor(connection)
        with pytest.raises(KeyboardInterrupt):
            executor.migrate([("students", "0001_tables")])
        tables = connection.introspection.table_names()
        call_command("migrate", verbosity=0)
        call_command("migrate", check_unapplied=True, verbosity=0)

    assert [table for table in tables if table.startswith("students_")] == []
    assert "courses_course" in tables
