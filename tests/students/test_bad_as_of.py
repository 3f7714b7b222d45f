"""A time in the future, or a text that is no time, is refused alike at every list and every export."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from school.models import PersonalDataAccess
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
TOMORROW = timezone.localdate() + DAY
SOON = (timezone.now() + DAY).isoformat()

BAD = [
    (str(TOMORROW), "in_future"),
    (SOON, "in_future"),
    ("9000-12-31", "in_future"),
    ("9000-12-31T23:59:59+23:59", "in_future"),
    ("census:FUTURE", "in_future"),
    ("census:NONE", "term_not_found"),
    ("census:WITHOUT", "no_census_day"),
    ("CENSUS:FUTURE", "invalid"),
    ("yesterday", "invalid"),
    ("now", "invalid"),
    ("20260101", "invalid"),
    ("2026-W01-1", "invalid"),
    ("2026-02-30", "invalid"),
    ("2026-1-1", "invalid"),
    ("2026-01-01T25:00:00Z", "invalid"),
    ("2026-01-01T10:00:00+99:00", "invalid"),
    ("2026-01-01T10:00:00", "naive_instant"),
    ("2026-01-01T", "invalid"),
    ("T", "invalid"),
    ("1767225600", "invalid"),
    ("9001-01-01", "year_out_of_range"),
    ("0001-01-01", "year_out_of_range"),
    ("0001-01-01T00:00:00+14:00", "year_out_of_range"),
    ("9999-12-31T23:59:59-14:00", "year_out_of_range"),
]

Answer = tuple[Any, ...]
EntryPoint = Callable[[APIClient, Client, StudentCourse, str], Answer]


def _list(path: str, accept: str = "application/json", **parameters: str) -> EntryPoint:
    """Return the entry point of a list of the API. Its answer has the status, and code, field and message."""

    def send(api: APIClient, desk: Client, enrollment: StudentCourse, text: str) -> Answer:
        url = f"/api/v1/{path.format(course=enrollment.course_id, student=enrollment.student_id)}"
        answer = api.get(url, {**parameters, "as_of": text}, headers={"Accept": accept})
        [error] = answer.json()["errors"]
        assert answer.status_code == 400
        assert error["field"] == "as_of"
        return error["code"], error["message"]

    return send


def command(api: APIClient, desk: Client, enrollment: StudentCourse, text: str) -> Answer:
    with pytest.raises(CommandError) as error:
        call_command("export_enrollments", f"--as-of={text}", output="enrollments.csv")
    assert not Path("enrollments.csv").exists()
    option, _colon, message = str(error.value).partition(": ")
    assert option == "--as-of"
    return "", message


def form_of_export(api: APIClient, desk: Client, enrollment: StudentCourse, text: str) -> Answer:
    page = desk.get("/admin/students/studentcourse/export-as-of/", {"as_of": text})
    [error] = page.context["form"].errors.as_data()["as_of"]
    return error.code, error.message


def _page_of_course(ending: str) -> EntryPoint:
    """Return the entry point of an export of the admin, which redirects to the course with a message."""

    def send(api: APIClient, desk: Client, enrollment: StudentCourse, text: str) -> Answer:
        page = desk.get(f"/admin/courses/course/{enrollment.course_id}/{ending}", {"as_of": text}, follow=True)
        [message] = page.context["messages"]
        assert page.redirect_chain == [(f"/admin/courses/course/{enrollment.course_id}/change/", 302)]
        return "", str(message)

    return send


ENTRY_POINTS: dict[str, EntryPoint] = {
    "enrollments": _list("enrollments"),
    "enrollments in another order": _list("enrollments", ordering="-updated_at", status="all", fields="id"),
    "roster": _list("courses/{course}/students"),
    "roster as a file": _list("courses/{course}/students", "text/csv"),
    "courses of a student": _list("students/{student}/courses"),
    "command": command,
    "form of the export": form_of_export,
    "roster of the admin as a file": _page_of_course("roster.csv"),
    "roster of the admin": _page_of_course("roster/"),
}


def enrolled(actor: ActorContext) -> StudentCourse:
    outcome = enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    assert outcome.enrollment is not None
    return outcome.enrollment


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_an_invalid_time_is_refused_at_every_entry_point(entry_point, api, registrar_client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    actor = ActorContext(Channel.COMMAND, at=timezone.now() - 10 * DAY)
    enrollment = enrolled(actor)
    make_term(code="WITHOUT")
    make_term(code="FUTURE", census_on=TOMORROW)
    expected = [ENTRY_POINTS["enrollments"](api, registrar_client, enrollment, text) for text, _code in BAD]
    before = PersonalDataAccess.objects.filter(action="exported").count()

    answers = [ENTRY_POINTS[entry_point](api, registrar_client, enrollment, text) for text, _code in BAD]

    assert [code for code, _message in expected] == [code for _text, code in BAD]
    assert [message for _code, message in answers] == [message for _code, message in expected]
    assert {code for code, _message in answers} in ({""}, {code for _text, code in BAD})
    assert PersonalDataAccess.objects.filter(action="exported").count() == before


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("enrollments/{enrollment}", "unknown_filter"),
        ("enrollments/{enrollment}/events", "unknown_filter"),
        ("students", "unknown_filter"),
        ("students/{student}/holds", "unknown_filter"),
        ("changes", "unknown_field"),
    ],
)
def test_lists_without_a_past_know_no_such_parameter(path, code, api, actor):
    enrollment = enrolled(actor)

    answer = api.get(
        f"/api/v1/{path.format(enrollment=enrollment.pk, student=enrollment.student_id)}", {"as_of": str(TOMORROW)}
    )

    assert answer.status_code == 400
    assert [(each["code"], each["field"]) for each in answer.json()["errors"]] == [(code, "as_of")]
