"""Swaps over the API, by files and in the admin: their formats, errors and what they show."""

import pytest

from bulk.jobs.import_actions import approve, start_undo
from bulk.models import ImportChannel
from students.enrollment import enroll
from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db

HEADER = "student_number,course_code,term,section,status,instead_of\n"


@pytest.fixture
def sections():
    term = make_term(code="F")
    return [make_course(code="M-1", term=term, section=name) for name in ("A", "B")]


@pytest.fixture
def student(sections, actor):
    """A student in section A."""
    student = make_student(student_number="S-1")
    enroll(student_id=student.pk, course_id=sections[0].pk, actor=actor)
    return student


def statuses():
    rows = StudentCourse.objects.order_by("pk").select_related("course")
    return [(row.course.section, row.status) for row in rows]


@pytest.mark.parametrize("form", ["id", "key"])
def test_the_api_takes_the_old_course_by_id_or_key(api, sections, student, form):
    first, second = sections
    old = first.pk if form == "id" else "code:M-1@F@A"

    answer = api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": second.pk, "instead_of": old})
    again = api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": second.pk, "instead_of": old})

    assert (answer.status_code, answer.json()["status"], answer.json()["instead_of"]) == (201, "enrolled", None)
    assert (again.status_code, again.json()) == (200, answer.json())
    assert statuses() == [("A", "dropped"), ("B", "enrolled")]


def test_a_course_without_a_seat_is_a_conflict(api, sections):
    path = f"/api/v1/students/{make_student().pk}/courses"

    answer = api.post(path, {"course_id": sections[1].pk, "instead_of": sections[0].pk})

    assert (answer.status_code, answer.json()["code"]) == (409, "not_enrolled")
    assert answer.json()["errors"][0]["field"] == "instead_of"


@pytest.mark.parametrize(
    ("old", "status", "code"),
    [
        ("M-1@F@A", 400, "invalid"),
        (True, 400, "invalid"),
        (1.5, 400, "invalid"),
        (None, 400, "null"),
        (0, 400, "min_value"),
        ([], 400, "invalid"),
        ("code:" + "x" * 200, 400, "max_length"),
        ("code:M-1@F@Z", 404, "course_not_found"),
        ("code:M-1", 409, "course_ambiguous"),
        (999999, 404, "course_not_found"),
    ],
)
def test_an_invalid_old_course_is_an_error_of_its_field(api, sections, student, old, status, code):
    body = {"course_id": sections[1].pk, "instead_of": old}

    answer = api.post(f"/api/v1/students/{student.pk}/courses", body)
    item = {"action": "enroll", "student_id": student.pk, **body}
    batch = api.post("/api/v1/enrollments/batch", {"items": [item]})

    told = [(each["code"], each["field"]) for each in answer.json()["errors"]]
    assert (answer.status_code, told) == (status, [(code, "instead_of")])
    [outcome] = batch.json()["outcomes"]
    assert [(each["code"], each["field"]) for each in outcome["errors"]] == [(code, "instead_of")]
    assert statuses() == [("A", "enrolled")]


def test_a_waiting_enrollment_shows_the_course_that_the_student_leaves(api, sections, student):
    first, second = sections
    type(second).objects.filter(pk=second.pk).update(capacity=0, waitlist_capacity=1)

    answer = api.post(
        f"/api/v1/students/{student.pk}/courses",
        {"course_id": second.pk, "instead_of": first.pk, "on_full": "waitlist"},
    )
    listed = api.get(f"/api/v1/students/{student.pk}/courses?status=waitlisted").json()["results"]

    assert (answer.status_code, answer.json()["status"], answer.json()["instead_of"]) == (201, "waitlisted", first.pk)
    assert [each["instead_of"] for each in listed] == [first.pk]


def test_a_row_swaps_and_the_same_file_changes_nothing_the_second_time(sections, student):
    text = HEADER + "S-1,M-1,F,B,,M-1@F@A\n"

    assert outcomes(imported(text)) == [(2, "enrolled", [])]
    assert outcomes(imported(text, again=True)) == [(2, "unchanged", [])]
    assert statuses() == [("A", "dropped"), ("B", "enrolled")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("S-1,M-1,F,B,,M-1@F@Z", "course_not_found"),
        ("S-1,M-1,F,B,,M-1", "course_ambiguous"),
        ("S-1,M-1,F,B,dropped,M-1@F@A", "invalid"),
        ("S-1,M-1,F,B,completed,M-1@F@A", "invalid"),
        ("S-2,M-1,F,B,,M-1@F@A", "not_enrolled"),
        ("S-2,M-1,F,B,,M-1@F@B", "swap_with_itself"),
    ],
)
def test_an_invalid_swap_in_a_row_is_reported(sections, student, row, code):
    make_student(student_number="S-2")

    job = imported(HEADER + f"{row}\n", on_error="skip")

    assert outcomes(job) == [(2, "error", [code])]
    assert statuses() == [("A", "enrolled")]


def test_the_undo_of_an_import_takes_swaps_back(sections, student):
    job = imported(HEADER + "S-1,M-1,F,B,,M-1@F@A\n")

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    assert undo.state == "done"
    assert statuses() == [("A", "enrolled"), ("B", "dropped")]


def test_a_full_file_with_a_swap_does_not_end_the_old_enrollment_first(sections):
    for number in ("S-1", "S-2"):
        make_student(student_number=number)
    imported(HEADER + "S-1,M-1,F,A,,\nS-2,M-1,F,A,,\n")
    full = {"mode": "full", "scope": "term:F", "on_error": "skip"}

    job = imported(HEADER + "S-1,M-1,F,B,,M-1@F@A\nS-2,M-1,F,A,,\n", **full)
    job = worked_on(approve(job.pk)) if job.state == "needs_review" else job
    again = imported(HEADER + "S-1,M-1,F,B,,M-1@F@A\nS-2,M-1,F,A,,\n", again=True, **full)

    assert (job.state, job.counts) == ("done", {"enrolled": 1, "unchanged": 1})
    assert again.counts == {"unchanged": 2}
    assert statuses() == [("A", "dropped"), ("A", "enrolled"), ("B", "enrolled")]


def test_a_full_file_of_one_course_cannot_end_enrollments_in_another(sections, student):
    job = imported(HEADER + "S-1,M-1,F,B,,M-1@F@A\n", mode="full", scope="course:M-1@F@B", on_error="skip")

    assert [(number, outcome, codes) for number, outcome, codes in outcomes(job) if number] == [
        (2, "error", ["out_of_scope"])
    ]
    assert statuses() == [("A", "enrolled")]


def test_the_admin_previews_a_swap_and_shows_the_wish(admin_client, sections, student, actor):
    first, second = sections
    url = f"/admin/students/student/{student.pk}/enroll/"
    form = {"course": second.pk, "instead_of": first.pk, "reason": "", "on_full": ""}

    shown = admin_client.post(url, {**form, "ask": "1", "fragment": "1"}).content.decode()
    type(second).objects.filter(pk=second.pk).update(capacity=0, waitlist_capacity=1)
    waits = admin_client.post(url, {**form, "ask": "1", "fragment": "1"}).content.decode()
    admin_client.post(url, {**form, "on_full": "waitlist"})
    pages = [
        admin_client.get(f"/admin/students/student/{student.pk}/change/").content.decode(),
        admin_client.get(f"/admin/courses/course/{second.pk}/change/?tab=waitlist").content.decode(),
    ]

    assert "Leaves M-1@F@A: dropped." in shown
    assert "Leaves M-1@F@A with the promotion." in waits
    assert [page.count("instead of M-1@F@A") for page in pages] == [1, 1]
    assert statuses() == [("A", "enrolled"), ("B", "waitlisted")]
