"""A swap of a course with itself is refused at every entry point, by code and field, and changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from courses.models import Course
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import commanded, fault_of_row, uploaded

pytestmark = pytest.mark.django_db

# The status of the answer, or the number of the row of a report, and the codes and fields of the errors.
Answer = tuple[int, list[tuple[str, str]]]
EntryPoint = Callable[[APIClient, Client, Student, Course], Answer]
REFUSED = ("swap_with_itself", "instead_of")


def errors_of(status: int, errors: list[dict[str, str]]) -> Answer:
    return status, [(each["code"], each["field"]) for each in errors]


def post_with_id(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    body = {"course_id": course.pk, "instead_of": course.pk, "on_full": "waitlist"}
    answer = api.post(f"/api/v1/students/{student.pk}/courses", body)
    return errors_of(answer.status_code, answer.json()["errors"])


def post_with_key(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    body = {"course_id": course.pk, "instead_of": "code:M-1@F@A", "on_full": "waitlist"}
    answer = api.post(f"/api/v1/students/number:{student.student_number}/courses", body)
    return errors_of(answer.status_code, answer.json()["errors"])


def _batch(api: APIClient, student: Student, course: Course, **options: Any) -> Answer:
    item = {"action": "enroll", "student_id": student.pk, "course_id": course.pk, "instead_of": "code:M-1@F@A"}
    answer = api.post("/api/v1/enrollments/batch", {"items": [{**item, "on_full": "waitlist"}], **options})
    [outcome] = answer.json()["outcomes"]
    return errors_of(409, outcome["errors"])


def batch(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _batch(api, student, course)


def atomic_batch(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _batch(api, student, course, atomic=True)


def preview_of_batch(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _batch(api, student, course, dry_run=True)


def text_of_file(student: Student) -> str:
    return f"student_number,course_code,term,section,instead_of\n{student.student_number},M-1,F,A,M-1@F@A\n"


def command(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return fault_of_row(commanded("enrollments", text_of_file(student), on_full="waitlist"))


def upload(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return fault_of_row(uploaded(api, "enrollments", text_of_file(student), on_full="waitlist"))


def _form(desk: Client, address: str, name: str, student: Student, course: Course) -> Answer:
    values = {"student": student.pk, "course": course.pk, "instead_of": course.pk, "on_full": "waitlist"}
    page = desk.post(f"/admin/{address}", {**values, "reason": ""})
    assert page.status_code == 200
    form = page.context[name].form if name == "adminform" else page.context[name]
    errors = form.errors.as_data().items()
    return 409, [(each.code, field) for field, them in errors for each in them]


def form_to_enroll(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _form(desk, "students/studentcourse/add/", "adminform", student, course)


def page_of_student(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _form(desk, f"students/student/{student.pk}/enroll/", "enroll_form", student, course)


def page_of_course(api: APIClient, desk: Client, student: Student, course: Course) -> Answer:
    return _form(desk, f"courses/course/{course.pk}/enroll/", "enroll_form", student, course)


ENTRY_POINTS: list[EntryPoint] = [
    post_with_id,
    post_with_key,
    batch,
    atomic_batch,
    preview_of_batch,
    command,
    upload,
    form_to_enroll,
    page_of_student,
    page_of_course,
]


@pytest.mark.parametrize("status", ["never", "enrolled", "waitlisted", "dropped"])
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_a_swap_of_a_course_with_itself_is_refused_at_every_entry_point(
    entry_point, status, api, registrar_client, actor
):
    course = make_course(code="M-1", term=make_term(code="F"), section="A", capacity=1, waitlist_capacity=None)
    student, other = make_student(), make_student()
    if status == "waitlisted":
        enroll(student_id=other.pk, course_id=course.pk, actor=actor)
    if status != "never":
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    if status == "dropped":
        drop(student_id=student.pk, course_id=course.pk, actor=actor)
    before = [list(model.objects.order_by("pk").values()) for model in (StudentCourse, EnrollmentEvent)]

    code, errors = entry_point(api, registrar_client, student, course)

    assert (code, errors) == (2 if entry_point in (command, upload) else 409, [REFUSED])
    assert [list(model.objects.order_by("pk").values()) for model in (StudentCourse, EnrollmentEvent)] == before
