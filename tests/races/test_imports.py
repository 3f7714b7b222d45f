"""Simultaneous uploads of one dataset, and simultaneous workers on one import."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from bulk.jobs.processing import process_import
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel, State
from school.refusals import Refused
from students.models import EnrollmentEvent
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS

RUNNERS = 20

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def run_simultaneously(act):
    """Call ``act(number)`` on one connection per runner at the same instant; return the results."""
    start = threading.Barrier(RUNNERS)

    def run(number):
        try:
            start.wait(timeout=60)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(RUNNERS) as pool:
        return list(pool.map(run, range(RUNNERS)))


def order(**wish):
    return ImportRequest(
        **{"kind": "enrollments", "channel": ImportChannel.API, "request_id": "r", "review": "needed", **wish}
    )


def test_of_twenty_simultaneous_uploads_one_is_accepted_and_the_others_are_refused():
    def upload(number):
        try:
            return submit(io.BytesIO(ENROLLMENTS.encode()), order()).pk
        except Refused as refused:
            return [refusal.code for refusal in refused.refusals]

    answers = run_simultaneously(upload)

    [job] = Import.objects.all()
    assert sorted(answers, key=str) == sorted([job.pk, *[["import_in_progress"]] * (RUNNERS - 1)], key=str)


def test_twenty_simultaneous_uploads_of_twenty_datasets_are_accepted():
    run_simultaneously(lambda number: submit(io.BytesIO(ENROLLMENTS.encode()), order(dataset=str(number))))

    assert Import.objects.filter(state=State.VALIDATING).count() == RUNNERS


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_twenty_workers_process_one_import_once(on_error):
    make_course(code="M-1")
    numbers = [make_student().student_number for _ in range(50)]
    text = ENROLLMENTS + "".join(f"{number},M-1,,,,\n" for number in numbers)
    job = submit(io.BytesIO(text.encode()), order(on_error=on_error))

    answers = run_simultaneously(lambda number: process_import(job.pk))

    job.refresh_from_db()
    assert (answers.count(True), job.state, job.counts) == (1, State.DONE, {"enrolled": 50})
    assert EnrollmentEvent.objects.count() == 50
