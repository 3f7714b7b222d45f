"""A file has the effect of its rows sent one by one through the API, and its undo reverts all of it."""

import io

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from bulk.jobs.import_actions import start_undo
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel
from courses.models import Course
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db

HEADER = "student_number,course_code,term,status,grade\n"
NUMBERS = ["S-1", "S-2", "S-3", "S-4"]
COURSES = [("FULL", ""), ("ONE", ""), ("LINE", "2026F"), ("FREE", "2026F"), ("LATER", "")]

row = st.tuples(
    st.sampled_from([*NUMBERS, "S-9", ""]),
    st.sampled_from([*COURSES, ("NONE", ""), ("FREE", "2099F")]),
    st.sampled_from(["", "enrolled", "waitlisted", "dropped", "completed", "asleep"]),
    st.sampled_from(["", "", "A", "B"]),
)
# Each pair at most once: a repeated pair contradicts itself in a file, but not in a sequence of requests.
files = st.lists(row, max_size=12, unique_by=lambda each: (each[0], each[1]))


@pytest.fixture
def world():
    term = make_term(code="2026F")
    for number in NUMBERS:
        make_student(student_number=number, is_active=number != "S-4")
    make_course(code="FULL", capacity=0)
    make_course(code="ONE", capacity=1)
    make_course(code="LINE", term=term, capacity=1, waitlist_capacity=1)
    make_course(code="FREE", term=term)
    make_course(code="LATER", prerequisites=["FREE"])
    rows = [
        "S-1,ONE,,,",
        "S-1,LINE,2026F,,",
        "S-2,LINE,2026F,waitlisted,",
        "S-1,FREE,2026F,,",
        "S-2,FREE,2026F,,",
        "S-3,FREE,2026F,,",
    ]
    assert imported(HEADER + "\n".join(rows)).state == "done"
    assert imported(HEADER + "S-3,FREE,2026F,completed,A\n").state == "done"


def enrollments():
    rows = StudentCourse.objects.order_by("student__student_number", "course__code", "pk")
    return list(rows.values_list("student__student_number", "course__code", "status", "grade"))


def sent_to_api(client, rows):
    """Send each row as a request; return the success of each, and the resulting enrollments."""
    answers = []
    for number, (code, term), status, grade in rows:
        courses = f"/api/v1/students/number:{number}/courses"
        key = f"code:{code}@{term}" if term else f"code:{code}"
        if status == "asleep" or (grade and status != "completed"):
            answers.append(False)
            continue
        if status in ("", "enrolled", "waitlisted"):
            on_full = "waitlist" if status == "waitlisted" else "reject"
            body = {"course_code": code, "on_full": on_full, **({"term": term} if term else {})}
            answer = client.post(courses, body)
        elif status == "dropped":
            answer = client.delete(f"{courses}/{key}")
        else:
            body = {"status": "completed", **({"grade": grade} if grade else {})}
            answer = client.patch(f"{courses}/{key}", body)
        answers.append(answer.status_code < 300)
    return answers, enrollments()


def from_a_file(rows):
    text = HEADER + "".join(f"{n},{code},{term},{status},{grade}\n" for n, (code, term), status, grade in rows)
    job = imported(text, on_error="skip", again=True)
    return [outcome != "error" for _number, outcome, _codes in outcomes(job)], enrollments()


def open_enrollments():
    return [each for each in enrollments() if each[2] in ("enrolled", "waitlisted")]


class Rollback(Exception):
    """Ends a transaction."""


def rolled_back(act, *arguments):
    """Return the result of a function, and roll back its changes."""
    found = None
    try:
        with transaction.atomic():
            found = act(*arguments)
            raise Rollback
    except Rollback:
        return found


@given(rows=files)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_file_has_the_effect_of_its_rows_sent_one_by_one(world, api: APIClient, rows):
    assert rolled_back(from_a_file, rows) == rolled_back(sent_to_api, api, rows)


@given(rows=files)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_same_file_again_writes_nothing(world, rows):
    def twice():
        accepted, _standing = from_a_file(rows)
        # A seat freed by a late row may be given to the student of an early row the second time.
        mended = [each for each, good in zip(rows, accepted, strict=True) if good]
        from_a_file(mended)
        before = enrollments(), EnrollmentEvent.objects.count()
        from_a_file(mended)
        return before, (enrollments(), EnrollmentEvent.objects.count())

    first, second = rolled_back(twice)

    assert first == second


@given(rows=files, hostile=st.text(st.characters(blacklist_categories=["Cs"]), max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_file_ends_with_a_report_and_is_applied_completely_or_not_at_all(world, rows, hostile):
    def send():
        text = HEADER + "".join(f"{n},{code},{term},{status},{grade}\n" for n, (code, term), status, grade in rows)
        order = ImportRequest(
            kind="enrollments", channel=ImportChannel.API, request_id="r", review="needed", again=True
        )
        job = worked_on(submit(io.BytesIO((text + hostile).encode()), order))
        return job.state, enrollments(), EnrollmentEvent.objects.count()

    before = enrollments(), EnrollmentEvent.objects.count()
    state, *left = rolled_back(send)

    assert state in ("done", "failed")
    if state == "failed":
        assert tuple(left) == before


@given(rows=files)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_an_undo_restores_the_open_enrollments_unless_students_were_promoted(world, rows):
    def there_and_back():
        from_a_file(rows)
        job = Import.objects.latest("pk")
        if job.can_transition_to("undone") and job.checkpoint:
            worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))
        moved = EnrollmentEvent.objects.filter(action=Action.PROMOTE).exists()
        return moved, open_enrollments()

    before = open_enrollments()
    moved, after = rolled_back(there_and_back)

    # A student promoted by the import keeps the seat, so its former holder does not get it back.
    assert moved or after == before


def test_importing_an_export_changes_nothing(world, tmp_path):
    target = tmp_path / "export.csv"
    call_command("export_enrollments", output=str(target))
    before = enrollments(), EnrollmentEvent.objects.count()

    job = imported(target.read_text())

    assert (job.state, set(job.counts)) == ("done", {"unchanged"})
    assert (enrollments(), EnrollmentEvent.objects.count()) == before
    assert Course.objects.count() == len(COURSES)
