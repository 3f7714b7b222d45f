"""Backups: they are consistent while others write, they restore everything, and unusable ones change nothing."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, StudentCourse
from tests.support.databases import ROOT
from tests.support.factories import make_course, make_student
from tests.support.separate_databases import SeparateDatabases
from tests.support.serving import environment_of
from tests.support.tmpfs import full, small_disk

pytestmark = pytest.mark.django_db(transaction=True)

IS_POSTGRESQL = connection.vendor == "postgresql"
on_postgresql = pytest.mark.skipif(not IS_POSTGRESQL, reason="SQLite has no roles")
ACTOR = ActorContext(Channel.SYSTEM)
PIPE_BYTES = 4096  # smaller than any backup


def enrolled(course, **options):
    """Enroll a new student; return the student's id."""
    student = make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=ACTOR, **options)
    return student.pk


@pytest.fixture
def databases(tmp_path) -> Iterator[SeparateDatabases]:
    made = SeparateDatabases(tmp_path)
    yield made
    if IS_POSTGRESQL:
        made.drop()


@pytest.fixture
def source(databases):
    """A database with a waitlisted, a completed and a dropped enrollment."""
    name = databases.migrated()
    with databases.use(name):
        course, other = make_course(capacity=1, waitlist_capacity=5), make_course()
        enrolled(course)
        enrolled(course, on_full=OnFull.WAITLIST)
        for end in (complete, drop):
            end(student_id=enrolled(other), course_id=other.pk, actor=ACTOR)
    return name


@pytest.fixture
def backup(databases, source, tmp_path):
    return back_up(databases, source, tmp_path / "school.backup")


def back_up(databases, name, path):
    with databases.use(name):
        call_command("backup", str(path), stdout=io.StringIO(), stderr=io.StringIO())
    return path


def restore(databases, path, **settings):
    """Restore into a new database; return its name and the output."""
    name, output = databases.empty(), io.StringIO()
    with databases.use(name, **settings):
        call_command("restore", str(path), stdout=output, stderr=io.StringIO())
    return name, output.getvalue()


def refusal(databases, path, name=None, **settings):
    """Return the error of a restore that must fail, and check that it leaves an empty database as it was."""
    target = name or databases.empty()
    with databases.use(target, **settings), pytest.raises(CommandError) as raised:
        call_command("restore", str(path), stdout=io.StringIO(), stderr=io.StringIO())
    if name is None:
        assert tables_in(databases, target) == []
    return str(raised.value)


def tables_in(databases, name):
    if not IS_POSTGRESQL:
        return [each.name for each in Path(name).parent.iterdir() if each.name == Path(name).name]
    with databases.use(name):
        return connection.introspection.table_names()


def rows(databases, name):
    with databases.use(name):
        return [list(model.objects.order_by("pk").values_list()) for model in (StudentCourse, EnrollmentEvent)]


def test_a_restored_backup_has_every_row_and_is_verified(databases, source, backup):
    name, output = restore(databases, backup)

    assert rows(databases, name) == rows(databases, source)
    assert output.splitlines()[1:] == ["4 enrollments verified, nothing is wrong."]
    assert oct(backup.stat().st_mode & 0o777) == "0o600"
    with databases.use(name):
        enrolled(make_course())
        assert StudentCourse.objects.count() == 5


def test_a_backup_during_writes_is_of_one_moment(databases, source, tmp_path):
    stop, written = threading.Event(), []

    def write():
        with databases.use(source):
            course = make_course()
            while not stop.is_set():
                enrolled(course)
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 3:
            stop.wait(0.01)
        before = len(written)
        path = back_up(databases, source, tmp_path / "busy.backup")
        after = len(written)
    finally:
        stop.set()
        writer.join()

    name, output = restore(databases, path)
    with databases.use(name):
        count = StudentCourse.objects.count()
    assert before + 4 <= count <= after + 5
    assert output.splitlines()[1:] == [f"{count} enrollments verified, nothing is wrong."]


@pytest.mark.parametrize("remaining", [0.999, 0.5, 0.01])
def test_a_truncated_backup_is_refused(databases, backup, remaining):
    os.truncate(backup, int(backup.stat().st_size * remaining))

    assert refusal(databases, backup) == f"{backup} is truncated or damaged. Use another backup."


def test_a_damaged_backup_is_refused(databases, backup):
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 0xFF
    backup.write_bytes(content)

    assert refusal(databases, backup) == f"{backup} is truncated or damaged. Use another backup."


@pytest.mark.parametrize("content", [b"", b"PGDMP\x01\x0e\x00", b"SQLite format 3\0", b"PK\x05\x06" + b"\0" * 18])
def test_a_file_of_another_program_is_refused(databases, tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)

    assert refusal(databases, path) == f"{path} is not a backup that manage.py backup has made."


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file or directory"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(databases, tmp_path, name, reason):
    assert refusal(databases, tmp_path / name) == f"Cannot read {tmp_path / name}: {reason}."


def rewrite(path, **changes):
    """Change the manifest of a backup."""
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members.items():
            if info.filename == "manifest.json":
                content = json.dumps({**json.loads(content), **changes}).encode()
            archive.writestr(info, content)


OLDER = "which is older. Install the version that made the backup, or a newer one."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "99.0"}, f"was made by School 99.0; this is 0.1.0, {OLDER}"),
        (
            {"migrations": {"students": ["0999_of_tomorrow"]}},
            f"was made by School 0.1.0, and has the migration students.0999_of_tomorrow; this is 0.1.0, {OLDER}",
        ),
        ({"format": 2}, "was made by a newer version of School, 0.1.0. Use that version."),
        ({"sha256": "0" * 64}, "is damaged: its data does not have the checksum of the manifest."),
        ({"more": 1}, "has a manifest that cannot be read. Use another backup."),
    ],
)
def test_a_backup_that_this_version_cannot_use_is_refused(databases, backup, changes, message):
    rewrite(backup, **changes)

    assert refusal(databases, backup) == f"{backup} {message}"


def test_a_backup_of_the_last_build_before_migrations_were_replaced_is_restored(databases, source, tmp_path):
    with databases.use(source):
        replacing = set(MigrationLoader(connection).replacements)
        for key in replacing:
            MigrationRecorder(connection).record_unapplied(*key)
    backup = back_up(databases, source, tmp_path / "earlier.backup")

    name, output = restore(databases, backup)

    assert rows(databases, name) == rows(databases, source)
    assert output.splitlines()[1:] == ["4 enrollments verified, nothing is wrong."]
    with databases.use(name):
        assert replacing <= set(MigrationRecorder(connection).applied_migrations())


def test_a_backup_between_replaced_migrations_is_refused(databases, source, tmp_path):
    with databases.use(source):
        MigrationRecorder(connection).record_unapplied("students", "0036_markers_of_history")
    backup = back_up(databases, source, tmp_path / "earlier.backup")

    assert refusal(databases, backup) == (
        f"{backup} lacks the migration students.0036_markers_of_history, which this build has no longer. "
        "Restore it with the last build that has it, and upgrade the restored database."
    )


def test_a_backup_of_another_kind_of_database_is_refused(databases, backup):
    other, here = ("SQLite", "PostgreSQL") if IS_POSTGRESQL else ("PostgreSQL", "SQLite")
    with zipfile.ZipFile(backup) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    with zipfile.ZipFile(backup, "w") as archive:
        archive.writestr("school-backup.txt", "")
        archive.writestr("database.dump" if other == "PostgreSQL" else "database.sqlite3", "")
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        archive.writestr("manifest.json", json.dumps({**manifest, "database": other.lower(), "sha256": empty}))

    assert refusal(databases, backup) == (
        f"{backup} is a backup of {other}, and DATABASE_URL names a database of {here}."
    )


def test_a_database_that_is_not_empty_is_not_overwritten(databases, source, backup):
    before = rows(databases, source)

    assert "The database is not empty" in refusal(databases, backup, source)
    assert rows(databases, source) == before


def test_a_database_in_use_is_refused(databases, backup):
    name = databases.empty()
    if IS_POSTGRESQL:
        with psycopg.connect(databases.url(name)):
            message = refusal(databases, backup, name)
        assert message == "The database is in use: it has 1 other connections. Stop all servers first."
    else:
        with databases.use(name), connection.cursor() as other:
            other.execute("CREATE TABLE draft (id integer)")
            other.execute("DROP TABLE draft")
            message = refusal(databases, backup, name)
        assert message == "The database is in use. Stop all servers first."


def test_of_two_restores_into_a_database_the_second_is_refused(databases, backup):
    name = databases.empty()
    if IS_POSTGRESQL:
        with psycopg.connect(databases.url(name)) as first:
            first.execute("SELECT pg_advisory_lock(%s)", [0x5C41])
            assert refusal(databases, backup, name) == "Another restore into this database is running."
    else:
        with Path(f"{name}-turn").open("w") as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            message = refusal(databases, backup, name)
        assert message == "The database is in use, or another restore into it is running."


def test_a_backup_does_not_replace_a_file(databases, source, tmp_path):
    path = tmp_path / "school.backup"
    path.write_text("an older backup")

    with databases.use(source), pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(path))

    assert path.read_text() == "an older backup"


@contextmanager
def full_disk(tmp_path):
    with small_disk(tmp_path, megabytes=1) as disk, full(disk):
        yield disk


def test_a_backup_on_a_full_disk_leaves_no_file(databases, source, tmp_path):
    with full_disk(tmp_path) as disk, databases.use(source):
        with pytest.raises(CommandError, match=r"[Nn]o space left on device"):
            call_command("backup", str(disk / "school.backup"), stdout=io.StringIO(), stderr=io.StringIO())

        assert [each.name for each in disk.iterdir()] == ["filler"]


def test_an_empty_database_has_no_backup(databases, tmp_path):
    name = databases.empty()
    message = "The database is empty" if IS_POSTGRESQL else f"There is no database {name}."

    with databases.use(name), pytest.raises(CommandError, match=message):
        call_command("backup", str(tmp_path / "school.backup"), stdout=io.StringIO(), stderr=io.StringIO())

    assert not (tmp_path / "school.backup").exists()


@contextmanager
def role(databases, name):
    """Create a role that may connect to a database and nothing else."""
    with psycopg.connect(databases.url("postgres"), autocommit=True) as direct:
        direct.execute("CREATE ROLE powerless LOGIN")
        try:
            yield
        finally:
            direct.execute("DROP ROLE powerless")


@on_postgresql
def test_a_role_without_rights_gets_one_line(databases, source, backup, tmp_path):
    with role(databases, source):
        with databases.use(source, USER="powerless"), pytest.raises(CommandError) as raised:
            call_command("backup", str(tmp_path / "other.backup"), stdout=io.StringIO(), stderr=io.StringIO())
        restoring = refusal(databases, backup, USER="powerless")

    assert str(raised.value).startswith("The database failed (permission denied for table ")
    assert restoring == (
        'pg_restore failed: could not execute query: ERROR:  permission denied to create extension "pg_trgm". '
        "The user of DATABASE_URL needs to own the database."
    )
    assert not (tmp_path / "other.backup").exists()


@on_postgresql
def test_a_database_that_takes_no_writes_is_refused(databases, backup):
    name = databases.empty()
    with psycopg.connect(databases.url("postgres"), autocommit=True) as direct:
        direct.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    assert refusal(databases, backup, name) == (
        "The database takes no writes: it is a standby, or read-only. Use the primary."
    )


@on_postgresql
def test_missing_client_programs_are_named(databases, source, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with databases.use(source), pytest.raises(CommandError, match=r"pg_dump is not installed\. Install the client"):
        call_command("backup", str(tmp_path / "school.backup"), stdout=io.StringIO(), stderr=io.StringIO())

    assert list(tmp_path.glob("*backup*")) == []


def test_a_backup_that_is_stopped_leaves_no_backup(databases, source, tmp_path):
    """The backup goes to a pipe that is full, so the signal arrives in the middle."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    command = [sys.executable, "manage.py", "backup", "-"]
    environment = {**environment_of(databases.url(source)), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        beginning = pipe.read(1)
        process.send_signal(signal.SIGTERM)
        rest = pipe.read()
    _output, error = process.communicate()

    assert process.returncode == 130
    assert error.splitlines()[-1] == "CommandError: Interrupted. No backup was made."
    path = tmp_path / "stopped"
    path.write_bytes(beginning + rest)
    assert "Use another backup." in refusal(databases, path)
    assert list(tmp_path.glob(".draft-*")) == []


def test_a_backup_through_a_pipe_can_be_restored(databases, source, tmp_path):
    command = [sys.executable, "manage.py", "backup", "-"]
    path = tmp_path / "piped"
    with path.open("wb") as file:
        reader = subprocess.Popen([shutil.which("cat") or "cat"], stdin=subprocess.PIPE, stdout=file)
        subprocess.run(command, cwd=ROOT, env=environment_of(databases.url(source)), stdout=reader.stdin, check=True)
        reader.communicate()

    name, _output = restore(databases, path)

    assert rows(databases, name) == rows(databases, source)
