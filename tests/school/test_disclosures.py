"""The record of access: each view and each export of personal data."""

from unittest import mock

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client

from school.models import PersonalDataAccess
from students.enrollment import enroll
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(actor):
    """Make a course in a term, an enrolled student, and an import with a row about the student."""
    student = make_student(student_number="S-1")
    course = make_course(code="A", term=make_term(code="T"))
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    job = imported("student_number,course_code,term\nS-1,A,T\nS-1,NONE,\n", on_error="skip")
    return student, course, job


def recorded_accesses():
    names = ("action", "subject", "door", "student_id", "course_id", "file_import_id", "scope")
    return list(PersonalDataAccess.objects.order_by("pk").values_list(*names))


def test_a_csv_roster_over_the_api_is_recorded_and_a_json_roster_is_not(world, api):
    _student, course, _job = world

    api.get(f"/api/v1/courses/{course.pk}/students")
    assert recorded_accesses() == []

    answer = api.get(f"/api/v1/courses/{course.pk}/students", headers={"Accept": "text/csv"})
    line = PersonalDataAccess.objects.get()
    assert recorded_accesses() == [("exported", "roster", "api", None, course.pk, None, "")]
    assert (str(line.actor)[:7], line.request_id) == ("client:", answer["X-Request-ID"])


@pytest.mark.parametrize("query", ["status=none", "ordering=none", "page_size=1&page_size=2", "bom=1", "none=1"])
def test_a_rejected_roster_request_is_not_recorded(world, api, query):
    _student, course, _job = world

    nowhere = api.get("/api/v1/courses/code:NONE/students", headers={"Accept": "text/csv"})
    refused = api.get(f"/api/v1/courses/{course.pk}/students?{query}", headers={"Accept": "text/csv"})

    assert (nowhere.status_code, refused.status_code, recorded_accesses()) == (404, 400, [])


@pytest.mark.parametrize("address", ["report", "failed-rows"])
@pytest.mark.parametrize("accept", ["text/csv", "application/json"])
def test_reading_an_import_report_over_the_api_is_recorded(world, registrar_client, address, accept):
    job = world[2]

    registrar_client.get(f"/api/v1/imports/{job.pk}/{address}", headers={"Accept": accept})

    assert recorded_accesses() == [("exported", "import", "api", None, None, job.pk, "")]


@pytest.mark.parametrize("address", ["report", "failed-rows"])
def test_reading_an_import_report_in_the_admin_is_recorded(world, registrar_client, registrar, address):
    job = world[2]

    registrar_client.get(f"/admin/bulk/import/{job.pk}/{address}/")

    assert recorded_accesses() == [("exported", "import", "admin", None, None, job.pk, "")]
    assert PersonalDataAccess.objects.get().actor == registrar


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["export_enrollments"], ("exported", "enrollments", "command", None, None, None, "")),
        (["export_enrollments", "--term", "T"], ("exported", "enrollments", "command", None, None, None, "T")),
        (["follow_changes", "--once"], ("exported", "enrollments", "command", None, None, None, "")),
        (
            ["follow_changes", "--once", "--kinds", "students,terms"],
            ("exported", "students", "command", None, None, None, ""),
        ),
        (["import_report", "JOB"], ("exported", "import", "command", None, None, "JOB", "")),
    ],
)
def test_an_export_by_a_command_is_recorded(world, capsys, command, line):
    job = world[2]

    call_command(*[job.pk if word == "JOB" else word for word in command])

    assert recorded_accesses() == [tuple(job.pk if word == "JOB" else word for word in line)]


def statuses_of(user, *addresses):
    client = Client()
    client.force_login(user)
    return [client.get(address).status_code for address in addresses]


def test_viewing_a_student_is_recorded_once_a_day_for_each_user(world, registrar, viewer):
    student = world[0]
    page = f"/admin/students/student/{student.pk}"

    assert statuses_of(registrar, f"{page}/change/", f"{page}/change/", f"{page}/history/") == [200, 200, 200]
    assert statuses_of(viewer, f"{page}/change/") == [200]

    assert [(line.actor, line.action, line.student_id) for line in PersonalDataAccess.objects.order_by("pk")] == [
        (registrar, "viewed", student.pk),
        (viewer, "viewed", student.pk),
    ]


def test_a_page_that_is_not_returned_is_not_recorded(world, registrar):
    assert statuses_of(registrar, "/admin/students/student/999/change/", "/admin/students/student/") == [302, 200]
    assert recorded_accesses() == []


def test_a_page_is_returned_and_logged_when_the_database_is_read_only(world, registrar, caplog):
    student = world[0]

    with mock.patch.object(PersonalDataAccess.objects, "bulk_create", side_effect=OperationalError("locked")):
        statuses = statuses_of(registrar, f"/admin/students/student/{student.pk}/change/")

    [entry] = [record.msg for record in caplog.records if "view_not_recorded" in str(record.msg)]
    assert (statuses, entry["student_id"], entry["user_id"]) == ([200], student.pk, registrar.pk)
    assert recorded_accesses() == []
