"""A larger maximum of credits, of a student or of a term, gives waiting students a seat at every entry point."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from bulk.jobs.import_actions import start_undo
from bulk.models import Import, ImportChannel
from courses.models import Course, Term
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import commanded, imported, uploaded, worked_on

pytestmark = pytest.mark.django_db

EntryPoint = Callable[[APIClient, Client, str, Any], None]
KINDS = {"terms": "code", "students": "student_number"}
COLUMNS = {"terms": "term", "students": "student_number"}
PAGES = {"terms": "courses/term", "students": "students/student"}


def body_of(kind: str, row: Any) -> dict[str, Any]:
    """Return all values of the row, with the larger maximum."""
    if kind == "terms":
        dates = {"starts_on": str(row.starts_on), "ends_on": str(row.ends_on)}
        return {"code": row.code, "name": row.name, **dates, "max_credits": 6}
    names = ("student_number", "given_name", "family_name", "email")
    return {**{name: getattr(row, name) for name in names}, "max_credits": 6}


def _api(method: str, path: str) -> EntryPoint:
    def send(api: APIClient, desk: Client, kind: str, row: Any) -> None:
        key = f"{KINDS[kind].removeprefix('student_')}:{getattr(row, KINDS[kind])}"
        body = body_of(kind, row) if method == "put" else {"max_credits": 6}
        answer = getattr(api, method)(f"/api/v1/{kind}/{path.format(id=row.pk, key=key)}", body)
        assert (answer.status_code, answer.json()["max_credits"]) == (200, 6)

    return send


def batch(api: APIClient, desk: Client, kind: str, row: Any) -> None:
    answer = api.post(f"/api/v1/{kind}/batch", {"items": [body_of(kind, row)]})
    assert [each["status"] for each in answer.json()["outcomes"]] == ["updated"]


def text_of_file(kind: str, row: Any, maximum: int = 6) -> str:
    values = {**body_of(kind, row), "max_credits": maximum}
    header = ",".join(values).replace("code", COLUMNS[kind])
    return f"{header}\n{','.join(map(str, values.values()))}\n"


def command(api: APIClient, desk: Client, kind: str, row: Any) -> None:
    [told] = commanded(kind, text_of_file(kind, row))
    assert told["outcome"] == "updated"


def upload(api: APIClient, desk: Client, kind: str, row: Any) -> None:
    [told] = uploaded(api, kind, text_of_file(kind, row), review="needed")
    assert told["outcome"] == "updated"


def undo_of_import(api: APIClient, desk: Client, kind: str, row: Any) -> None:
    """Undo the import that has made the maximum smaller: see ``pass_over``."""
    job = worked_on(start_undo(Import.objects.get().pk, channel=ImportChannel.API, request_id="u"))
    assert job.counts == {"reversed": 1}


def _form(ending: str) -> EntryPoint:
    def send(api: APIClient, desk: Client, kind: str, row: Any) -> None:
        path = ending.format(id=row.pk, version=row.history.latest().pk)
        page = desk.post(f"/admin/{PAGES[kind]}/{path}", {**body_of(kind, row), "is_active": "on"})
        assert page.status_code == 302

    return send


ENTRY_POINTS: dict[str, EntryPoint] = {
    "PATCH": _api("patch", "{id}"),
    "PUT": _api("put", "{id}"),
    "PUT by key": _api("put", "{key}"),
    "batch": batch,
    "command": command,
    "upload": upload,
    "undo of an import": undo_of_import,
    "form to change": _form("{id}/change/"),
    "form to restore": _form("{id}/history/{version}/"),
}


def pass_over(kind, actor):
    """Return the row with a maximum, and a student who was passed over because of it in a course with a free seat."""
    term, student, leaving = make_term(), make_student(), make_student()
    row: Term | Student = term if kind == "terms" else student
    row.refresh_from_db()
    row.max_credits = Decimal(6)
    row.save()
    imported(text_of_file(kind, row, 4), kind=kind)
    taken, wanted = (make_course(term=term, credits=3, capacity=1) for _ in range(2))
    Course.objects.filter(pk=wanted.pk).update(waitlist_capacity=None)
    for each in (leaving, student):
        enroll(student_id=each.pk, course_id=wanted.pk, on_full=OnFull.WAITLIST, actor=actor)
    enroll(student_id=student.pk, course_id=taken.pk, actor=actor)
    drop(student_id=leaving.pk, course_id=wanted.pk, actor=actor)
    assert EnrollmentEvent.objects.latest("pk").refusals == ["too_many_credits"]
    row.refresh_from_db()
    return row, StudentCourse.objects.get(student=student, course=wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_a_larger_maximum_gives_a_waiting_student_the_seat_at_once(entry_point, kind, api, registrar_client, actor):
    row, waiting = pass_over(kind, actor)

    ENTRY_POINTS[entry_point](api, registrar_client, kind, row)

    waiting.refresh_from_db()
    row.refresh_from_db()
    assert (row.max_credits, waiting.status) == (6, "enrolled")
    assert EnrollmentEvent.objects.latest("pk").action == "promote"
