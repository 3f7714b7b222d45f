"""Many at once: uploads of one dataset, and workers on one import."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from bulk.jobs.lifecycle import ImportRequest, submit
from bulk.jobs.processing import process_import
from bulk.models import Import, ImportChannel, State
from school.refusals import Refused
from students.models import EnrollmentEvent
from tests.bulk.work import ENROLLMENTS
from tests.factories import make_course, make_student

RUNNERS = 20

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def all_at_once(act):
    """Call ``act(number)`` on as many connections as there are runners, at the same instant; return the answers."""
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


def test_of_twenty_uploads_at_once_one_is_taken_and_the_others_are_told_of_it():
    def upload(number):
        try:
            return submit(io.BytesIO(ENROLLMENTS.encode()), order()).pk
        except Refused as refused:
            return [refusal.code for refusal in refused.refusals]

    answers = all_at_once(upload)

    [job] = Import.objects.all()
    assert sorted(answers, key=str) == sorted([job.pk, *[["import_in_progress"]] * (RUNNERS - 1)], key=str)


def test_twenty_uploads_of_twenty_datasets_are_all_taken():
    all_at_once(lambda number: submit(io.BytesIO(ENROLLMENTS.encode()), order(dataset=str(number))))

    assert Import.objects.filter(state=State.VALIDATING).count() == RUNNERS


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_twenty_workers_on_one_import_do_it_once(on_error):
    make_course(code="M-1")
    numbers = [make_student().student_number for _ in range(50)]
    text = ENROLLMENTS + "".join(f"{number},M-1,,,,\n" for number in numbers)
    job = submit(io.BytesIO(text.encode()), order(on_error=on_error))

    answers = all_at_once(lambda number: process_import(job.pk))

    job.refresh_from_db()
    assert (answers.count(True), job.state, job.counts) == (1, State.DONE, {"enrolled": 50})
    assert EnrollmentEvent.objects.count() == 50
