"""Previews on an SQLite file use a temporary copy, so that other connections can write meanwhile."""

import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from bulk.importers import base, import_parts
from bulk.jobs import leases
from bulk.jobs.import_actions import approve, cancel
from bulk.jobs.leases import Lease
from bulk.models import Import, State
from school.db.sqlite.temporary_copy import is_on_temporary_copy, temporary_copy
from students.imports import EnrollmentImporter
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes, without_parts, worked_on

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has many writers"),
]

ROWS = 3_000


@pytest.fixture
def path(tmp_path, transactional_db, monkeypatch):
    """A copy of the test database in a file, which every thread opens with the settings of the project."""
    memory, path = connections["default"], tmp_path / "school.sqlite3"
    with closing(sqlite3.connect(path)) as file:
        memory.connection.backup(file)
    monkeypatch.setitem(memory.settings_dict, "NAME", str(path))
    del connections["default"]
    yield path
    connections["default"].close()
    connections["default"] = memory


@pytest.fixture
def text(path):
    """More rows than the course has seats, and one of an unknown student."""
    make_course(code="M-1", capacity=ROWS - 10)
    template = make_student(student_number="S-0")
    numbers = [f"S-{n}" for n in range(1, ROWS)]
    Student.objects.bulk_create(
        Student(student_number=number, given_name=template.given_name, family_name="B") for number in numbers
    )
    return ENROLLMENTS + "".join(f"{number},M-1,,,,\n" for number in ["S-0", *numbers, "nobody"])


@pytest.fixture
def short_chunks(monkeypatch):
    """Three chunks, and many heartbeats while one of them is applied."""
    for module in (import_parts, base):
        monkeypatch.setattr(module, "CHUNK_SIZE", 1_000)
    monkeypatch.setattr(leases, "HEARTBEAT_INTERVAL", 0.01)


def when_applied(monkeypatch, act, *, chunk=1):
    """Call ``act`` within the transaction that has applied this chunk."""
    real, seen = EnrollmentImporter.apply, []

    def apply(importer, rows):
        results = real(importer, rows)
        seen.append(1)
        if len(seen) == chunk:
            act()
        return results

    monkeypatch.setattr(EnrollmentImporter, "apply", apply)


def in_other_thread(act):
    """Call a function in another thread, on its own connection, and return its result."""

    def run():
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def write_without_waiting(path):
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE students_student SET family_name = 'Lovelace' WHERE student_number = 'S-1'")
        other.execute("COMMIT")


@pytest.mark.parametrize(
    "wish", [{"review": "always"}, {"review": "dry_run"}, {"review": "dry_run", "on_error": "skip"}]
)
def test_another_connection_writes_without_waiting_during_a_preview(path, text, monkeypatch, wish):
    when_applied(monkeypatch, lambda: write_without_waiting(path))

    job = imported(text, **wish)

    assert job.counts == {"enrolled": ROWS - 10, "error": 11}
    assert Student.objects.get(student_number="S-1").family_name == "Lovelace"
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_another_connection_writes_without_waiting_while_an_approval_is_checked(path, text, monkeypatch):
    job = imported(text, review="always", on_error="skip")
    when_applied(monkeypatch, lambda: write_without_waiting(path))

    job = worked_on(approve(job.pk))

    assert (job.state, job.counts) == (State.DONE_WITH_ERRORS, {"enrolled": ROWS - 10, "error": 11})
    assert StudentCourse.objects.count() == ROWS - 10


def test_a_preview_on_a_copy_reports_the_outcomes_of_one_on_the_database(path, text):
    def told():
        job = imported(text, review="always", on_error="skip")
        cancel(job.pk)
        return job.state, job.counts, job.fingerprint, job.in_scope, without_parts(job.problems), outcomes(job)

    on_copy = told()
    with transaction.atomic():
        assert told() == on_copy


def test_a_preview_on_a_copy_reports_its_progress_and_renews_its_lease(text, short_chunks, monkeypatch):
    def is_renewed():
        renewed = Import.objects.filter(leased_until__gt=began + leases.LEASE_DURATION)
        return renewed.filter(progress__rows=1_000).exists()

    began = timezone.now()
    when_applied(monkeypatch, lambda: in_other_thread(lambda: wait_until(is_renewed)), chunk=2)

    assert imported(text, review="dry_run").progress.rows == ROWS + 1


def test_a_preview_on_a_copy_stops_when_it_is_cancelled(text, short_chunks, monkeypatch):
    def cancel_it():
        in_other_thread(lambda: cancel(Import.objects.get().pk))
        time.sleep(0.2)  # some heartbeats

    when_applied(monkeypatch, cancel_it)
    when_applied(monkeypatch, lambda: pytest.fail("It went on."), chunk=2)

    assert imported(text, review="always").state == State.CANCELLED


def test_a_preview_on_a_copy_stops_when_its_lease_is_lost(text, short_chunks, monkeypatch):
    def take():
        in_other_thread(lambda: Import.objects.update(lease_owner="elsewhere:1:x"))
        time.sleep(0.2)  # some heartbeats

    when_applied(monkeypatch, take)
    when_applied(monkeypatch, lambda: pytest.fail("It went on."), chunk=2)

    job = imported(text, review="always")

    assert (job.state, job.lease_owner, job.counts) == (State.VALIDATING, "elsewhere:1:x", {})


def test_a_heartbeat_is_skipped_while_the_database_is_busy(path, monkeypatch):
    monkeypatch.setattr(leases, "HEARTBEAT_INTERVAL", 0.01)
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0)
    job = imported(ENROLLMENTS, review="always")
    lease = Lease(job.pk, job.lease_owner)
    Import.objects.update(state=State.VALIDATING)

    with temporary_copy(), lease.heartbeat():
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            lease.set_progress(7)
            time.sleep(0.1)
            other.execute("COMMIT")
        in_other_thread(lambda: wait_until(lambda: Import.objects.get().progress.rows == 7))

    assert not lease.is_lost


def open_copies():
    """Return the mode of each temporary database that this process has open, and its number of names."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        if link.is_symlink() and "etilqs" in str(link.readlink()):
            status = link.stat()
            found.append((stat.S_IMODE(status.st_mode), status.st_nlink))
    return found


def test_the_copy_is_an_unnamed_private_file_and_is_deleted_at_the_end(text):
    before = open_copies()
    with temporary_copy():
        Student.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE large AS SELECT zeroblob(10000000)")  # more than SQLite keeps in memory
        copies = open_copies()

    assert (len(copies) > len(before), set(copies)) == (True, {(0o600, 0)})
    assert (is_on_temporary_copy(), open_copies()) == (False, before)
    assert Student.objects.count() == ROWS


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_after_an_error_the_copy_is_deleted_and_the_database_has_the_final_state(text, tmp_path, monkeypatch, error):
    def fail():
        assert is_on_temporary_copy()
        raise error

    before = open_copies()
    when_applied(monkeypatch, fail)

    file = tmp_path / "file.csv"
    file.write_text(text)
    with pytest.raises(CommandError, match=r"Nothing was applied\."):
        call_command("import_enrollments", str(file), "--dry-run")

    assert (is_on_temporary_copy(), open_copies()) == (False, before)
    assert Import.objects.get().state == (State.CANCELLED if error is KeyboardInterrupt else State.FAILED)
