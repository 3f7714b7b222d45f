"""A POST with an Idempotency-Key is executed once, also for repeated and concurrent requests."""

import threading
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from rest_framework.test import APIClient

from school.models import KeptAnswer
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.races import race

pytestmark = pytest.mark.django_db

ADA = {"student_number": "S-1", "given_name": "Ada", "family_name": "Byron"}
BODIES = {
    "students": ADA,
    "courses": {"code": "A", "name": "A", "level": "advanced"},
    "terms": {"code": "A", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-01-02"},
}


def post(client, path, body, key="a-key"):
    return client.post(f"/api/v1/{path}", body, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("again", ["a-key", '"a-key"'])
def test_a_repeated_request_with_a_key_gets_the_same_response(api, path, again):
    first = post(api, path, BODIES[path])
    second = post(api, path, BODIES[path], again)

    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    for name in ("Location", "ETag", "Content-Type"):
        assert second[name] == first[name]
    assert ("Idempotency-Replayed" in first, second["Idempotency-Replayed"]) == (False, "true")
    assert len(api.get(f"/api/v1/{path}").json()["results"]) == 1


def test_a_batch_with_a_key_is_executed_once(api):
    student, course = make_student(), make_course()
    items = [{"action": "enroll", "student_id": student.pk, "course_id": course.pk}]
    first = post(api, "enrollments/batch", {"items": items})
    api.delete(f"/api/v1/students/{student.pk}/courses/{course.pk}")

    second = post(api, "enrollments/batch", {"items": items})

    assert (second.status_code, second.json()) == (200, first.json())
    assert [each.status for each in StudentCourse.objects.all()] == ["dropped"]
    assert EnrollmentEvent.objects.count() == 2


def test_an_error_response_is_replayed_as_well(api):
    make_student(student_number="S-1")

    first = post(api, "students", ADA)
    Student.objects.all().delete()
    second = post(api, "students", ADA)

    assert (first.status_code, first.json()["code"]) == (409, "unique")
    assert (second.status_code, second.json(), second["Content-Type"]) == (
        409,
        first.json(),
        "application/problem+json",
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [("students", {**ADA, "given_name": "Augusta"}), ("terms", BODIES["terms"]), ("students?a=1", ADA)],
)
def test_another_request_with_the_same_key_returns_422(api, path, body):
    post(api, "students", ADA)

    answer = post(api, path, body)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert Student.objects.get().given_name == "Ada"


def test_clients_do_not_share_idempotency_keys(make_client):
    first, second = make_client("students:write"), make_client("students:write")

    assert post(first, "students", ADA).status_code == 201
    assert post(second, "students", {**ADA, "student_number": "S-2"}).status_code == 201


@pytest.mark.parametrize("key", ["", '""', " ", "a b", "a" * 256, "ä", "a\x7f"])
def test_an_invalid_idempotency_key_returns_400(api, key):
    answer = post(api, "students", ADA, key)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
    assert Student.objects.count() == 0


def test_no_response_is_stored_without_a_key(api):
    api.post("/api/v1/students", ADA)

    assert KeptAnswer.objects.count() == 0


def test_a_forbidden_request_is_rejected_before_its_key_is_read(make_client):
    answer = post(make_client("students:read"), "students", ADA)

    assert (answer.status_code, KeptAnswer.objects.count()) == (403, 0)


def test_a_request_that_failed_with_500_can_be_repeated_with_its_key(api, monkeypatch):
    def broken(*args, **options):
        raise OperationalError("gone")

    api.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr("school.api.base_views.ResourceViewSet.perform_create", broken)
        assert post(api, "students", ADA).status_code == 503
    assert KeptAnswer.objects.count() == 0

    assert post(api, "students", ADA).status_code == 201


def test_a_stored_response_is_deleted_after_a_day(api, capsys):
    post(api, "students", ADA)
    tomorrow = timezone.now() + timedelta(hours=24, seconds=1)

    call_command("clear_kept_answers")
    assert (capsys.readouterr().out, KeptAnswer.objects.count()) == ("0 deleted.\n", 1)
    with time_machine.travel(tomorrow):
        call_command("clear_kept_answers")
    assert (capsys.readouterr().out, KeptAnswer.objects.count()) == ("1 deleted.\n", 0)


def test_a_key_can_be_reused_after_a_day(api):
    post(api, "students", ADA)
    KeptAnswer.objects.update(at=timezone.now() - timedelta(hours=24, seconds=1))

    assert post(api, "students", {**ADA, "student_number": "S-2"}).status_code == 201


on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL")


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_concurrent_requests_with_one_key_are_executed_once(api):
    token = api._credentials["HTTP_AUTHORIZATION"]
    answers: list[tuple[int, int, bytes]] = []

    def send(runner, number):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        answer = post(client, "students", {**ADA, "student_number": f"S-{number}"}, f"key-{number}")
        answers.append((number, answer.status_code, answer.content))

    race(send, 10, runners=16)

    assert Student.objects.count() == 10
    assert {status for _number, status, _body in answers} <= {201, 409}
    assert len({(number, body) for number, status, body in answers if status == 201}) == 10
    assert {b"still_at_work" in body for _number, status, body in answers if status == 409} <= {True}


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_a_second_request_with_a_key_is_rejected_while_the_first_one_runs(api, monkeypatch):
    from school.api.base_views import ResourceViewSet

    begun, go_on = threading.Event(), threading.Event()
    perform_create = ResourceViewSet.perform_create
    answers = []

    def slow(self, serializer):
        begun.set()
        assert go_on.wait(30)
        perform_create(self, serializer)

    monkeypatch.setattr(ResourceViewSet, "perform_create", slow)

    def first():
        try:
            client = APIClient()
            client.credentials(**api._credentials)
            answers.append(post(client, "students", ADA).status_code)
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(30)
    second = post(api, "students", ADA)
    go_on.set()
    thread.join()

    assert (second.status_code, second.json()["code"], second["Retry-After"]) == (409, "still_at_work", "1")
    assert (answers, post(api, "students", ADA).status_code, Student.objects.count()) == ([201], 201, 1)
