"""Background work: imports are claimed once, and orphaned imports are resumed."""

import os

import pytest
from django.db import OperationalError
from django.utils import timezone

from bulk.importers import base, import_parts
from bulk.jobs.import_actions import approve, cancel
from bulk.jobs.leases import MAX_ATTEMPTS, LeaseLost, claim, waiting_import_ids
from bulk.models import Import, ImportChannel, State
from students.imports import EnrollmentImporter
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes, work, worked_on

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """An exception that no code handles, like a SIGKILL."""


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of two rows, so that a few rows make several chunks."""
    monkeypatch.setattr(import_parts, "CHUNK_SIZE", 2)
    monkeypatch.setattr(base, "CHUNK_SIZE", 2)


@pytest.fixture
def text():
    """Five rows for one course of three seats; the last row contradicts the first."""
    make_course(code="M-1", capacity=3)
    numbers = [make_student().student_number for _ in range(5)]
    rows = "".join(f"{number},M-1,,,,\n" for number in numbers)
    return ENROLLMENTS + rows + f"{numbers[0]},M-1,,dropped,,\n"


def killed_in_chunk(monkeypatch, number):
    """Let the process die while it applies this chunk."""
    real, seen = EnrollmentImporter.apply, []

    def apply(self, rows):
        seen.append(1)
        if len(seen) == number:
            raise Killed
        return real(self, rows)

    monkeypatch.setattr(EnrollmentImporter, "apply", apply)
    return lambda: monkeypatch.setattr(EnrollmentImporter, "apply", real)


def expire_lease(job):
    """Let the lease of an import expire."""
    Import.objects.filter(pk=job.pk).update(lease_owner="elsewhere:1:x", leased_until=timezone.now())


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_a_killed_import_is_resumed_once_with_the_same_result(monkeypatch, small_chunks, text, chunk, on_error):
    text = text if on_error == "skip" else "\n".join(text.splitlines()[:4]) + "\n"
    revive = killed_in_chunk(monkeypatch, chunk)
    with pytest.raises(Killed):
        imported(text, on_error=on_error)
    revive()
    [job] = Import.objects.all()
    assert job.state == State.APPLYING
    applied = StudentCourse.objects.count()
    assert (applied, job.checkpoint) == ((chunk - 1) * 2, (chunk - 1) * 2) if on_error == "skip" else (0, 0)

    expire_lease(job)
    work()
    work()

    job.refresh_from_db()
    expected = {"enrolled": 3, "error": 3} if on_error == "skip" else {"enrolled": 3}
    assert job.counts == expected
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (3, 3)
    codes = [codes for _number, _outcome, codes in outcomes(job)]
    assert codes[3:] == ([["course_full"], ["course_full"], ["duplicate_row"]] if on_error == "skip" else [])


def test_an_import_with_a_valid_lease_is_not_claimed_by_another_worker(text):
    job = imported(text, review="always", on_error="skip")
    approve(job.pk)
    lease = claim(job.pk)

    assert lease is not None
    assert claim(job.pk) is None
    assert waiting_import_ids() == []
    expire_lease(job)
    assert waiting_import_ids() == [job.pk]
    assert claim(job.pk) is not None
    with pytest.raises(LeaseLost):
        lease.lock_import()


def test_an_import_of_a_dead_process_on_this_machine_is_orphaned_immediately(text, monkeypatch):
    job = imported(text, review="always", on_error="skip")
    approve(job.pk)
    claim(job.pk)

    def gone(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)

    assert waiting_import_ids() == [job.pk]


def test_the_worker_does_the_work_of_an_import_once_and_the_oldest_first(text):
    first = imported(text, review="always", on_error="skip")
    approve(first.pk)
    second = imported(text, review="always", on_error="skip", dataset="other")
    approve(second.pk)
    assert waiting_import_ids() == [first.pk, second.pk]

    work()
    work()

    assert waiting_import_ids() == []
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.counts["enrolled"], "enrolled" in second.counts) == (3, False)
    assert EnrollmentEvent.objects.count() == 3


def test_a_cancelled_import_stops_at_the_next_chunk_and_its_rows_can_be_undone(text, small_chunks, monkeypatch):
    real = EnrollmentImporter.apply

    def apply(self, rows):
        results = real(self, rows)
        Import.objects.get().progress.__class__.objects.update(wants_cancel=True)
        return results

    monkeypatch.setattr(EnrollmentImporter, "apply", apply)

    job = imported(text, on_error="skip")

    assert (job.state, job.checkpoint, StudentCourse.objects.count()) == (State.CANCELLED, 2, 2)
    assert job.can_transition_to(State.UNDONE)


def test_cancelling_an_import_without_a_worker_ends_it_immediately(text):
    job = imported(text, review="always", on_error="skip")
    approve(job.pk)

    assert cancel(job.pk).state == State.CANCELLED
    assert worked_on(job).state == State.CANCELLED


def test_an_import_interrupted_by_a_database_error_is_tried_again(text, monkeypatch):
    real = EnrollmentImporter.apply

    def busy(self, rows):
        raise OperationalError("database is locked")

    monkeypatch.setattr(EnrollmentImporter, "apply", busy)
    with pytest.raises(OperationalError):
        imported(text, on_error="skip")
    monkeypatch.setattr(EnrollmentImporter, "apply", real)
    job = Import.objects.get()
    assert (job.state, job.door) == (State.APPLYING, ImportChannel.API)

    work()

    job.refresh_from_db()
    assert job.state == State.DONE_WITH_ERRORS


def test_an_import_that_kills_every_worker_fails(text):
    job = imported(text, review="always", on_error="skip")
    approve(job.pk)
    Import.objects.update(attempts=MAX_ATTEMPTS)

    assert claim(job.pk) is None

    job.refresh_from_db()
    assert (job.state, job.problems[0]["code"]) == (State.FAILED, "interrupted")
