"""An approval chooses between the good rows and all or nothing, and an undo can be previewed."""

import pytest

from bulk.jobs.import_actions import approve, start_undo
from bulk.models import Import, ImportChannel, Review, State
from school.refusals import Refused
from students.models import StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes, worked_on

pytestmark = pytest.mark.django_db

GOOD, BAD = "S-1,M-1,,,,\n", "S-9,M-1,,,,\n"


@pytest.fixture(autouse=True)
def world():
    make_course(code="M-1")
    for number in ("S-1", "S-2"):
        make_student(student_number=number)


def previewed(text):
    return imported(ENROLLMENTS + text, review="always", on_error="skip")


def test_the_good_rows_are_applied_if_the_approval_skips_errors(db):
    job = previewed(GOOD + BAD)
    assert (job.state, job.counts) == (State.NEEDS_REVIEW, {"enrolled": 1, "error": 1})

    job = worked_on(approve(job.pk, on_error="skip"))

    assert (job.state, job.on_error, StudentCourse.objects.count()) == (State.DONE_WITH_ERRORS, "skip", 1)


def test_an_approval_of_all_or_nothing_applies_all_rows_in_one_transaction(db):
    job = worked_on(approve(previewed(GOOD).pk, on_error="abort"))

    assert (job.state, job.on_error, job.checkpoint) == (State.DONE, "abort", 1)


def test_an_approval_of_all_or_nothing_is_refused_if_the_preview_has_errors(db):
    job = previewed(GOOD + BAD)

    with pytest.raises(Refused) as refused:
        approve(job.pk, on_error="abort")

    assert [refusal.code for refusal in refused.value.refusals] == ["rows_with_errors"]
    assert Import.objects.get().state == State.NEEDS_REVIEW


def test_a_file_without_a_good_row_has_nothing_to_approve(db):
    job = previewed(BAD)

    assert (job.state, job.counts) == (State.FAILED, {"error": 1})


def test_an_undo_waits_for_review_after_its_preview(db):
    job = imported(ENROLLMENTS + GOOD)

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.ADMIN, request_id="u", review=Review.ALWAYS))
    assert (undo.state, undo.counts) == (State.NEEDS_REVIEW, {"reversed": 1})
    assert StudentCourse.objects.open().count() == 1
    with pytest.raises(Refused):
        approve(undo.pk, on_error="abort")
    undo = worked_on(approve(undo.pk))

    assert (undo.state, StudentCourse.objects.open().count()) == (State.DONE, 0)
    job.refresh_from_db()
    assert job.state == State.UNDONE


@pytest.mark.parametrize("kind", ["enrollments", "students"])
def test_the_report_of_an_undo_has_the_row_numbers_of_the_file(db, kind):
    text = {
        "enrollments": ENROLLMENTS + "\n" + GOOD + "S-2,M-1,,,,\n",
        "students": "student_number,given_name,family_name\n\nN-1,Ada,Byron\nN-2,Mary,Somerville\n",
    }[kind]
    job = imported(text, kind=kind)

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.ADMIN, request_id="u"))

    assert outcomes(undo) == [(4, "reversed", []), (3, "reversed", [])]
