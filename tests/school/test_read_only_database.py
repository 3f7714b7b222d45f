"""A database that takes no writes: a request is repeated once on a new connection, then answered with 503 busy."""

from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from students.models import Student
from tests.support.forms import form_in

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no standby"),
]

READ_ONLY = "default_transaction_read_only"


def make_session_read_only():
    """Let the server refuse writes on the connection that is open now, as one that was demoted does."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET {READ_ONLY} = on")


@contextmanager
def read_only_database():
    """Let the server refuse writes on all new connections in the block."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET {READ_ONLY} = on")
    connection.close()
    try:
        yield
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute(f"SET {READ_ONLY} = off")
            cursor.execute(f"ALTER DATABASE {name} RESET {READ_ONLY}")
        connection.close()


def add_student(api):
    student = {"student_number": "1", "given_name": "A", "family_name": "B"}
    return api.post("/api/v1/students", student, format="json")


def test_a_write_on_a_demoted_server_is_repeated_on_a_new_connection(api):
    make_session_read_only()

    answer = add_student(api)

    assert answer.status_code == 201
    assert Student.objects.count() == 1


def test_a_write_on_a_standby_is_answered_with_busy_and_works_after_the_failover(api):
    with read_only_database():
        answer = add_student(api)
        reading = api.get("/api/v1/students")

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "busy", "2")
    assert (reading.status_code, reading.json()["results"]) == (200, [])
    assert add_student(api).status_code == 201


def test_a_form_on_a_standby_is_answered_with_busy(registrar_client):
    form = form_in(registrar_client.get("/admin/students/student/add/"))
    with read_only_database():
        answer = registrar_client.post(
            "/admin/students/student/add/", {**form, "student_number": "1", "given_name": "A", "family_name": "B"}
        )

    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


def test_a_connection_that_refused_a_write_is_not_used_again():
    make_session_read_only()
    with pytest.raises(OperationalError), transaction.atomic():
        Student.objects.create(student_number="1", given_name="A", family_name="B")
    refused = connection.connection

    connection.close_if_unusable_or_obsolete()

    assert refused.closed
    Student.objects.create(student_number="1", given_name="A", family_name="B")


def test_the_server_is_not_ready_while_the_database_takes_no_writes(client):
    with read_only_database():
        standby = client.get("/health/ready")
        alive = client.get("/health")

    assert (standby.status_code, standby.json()["database"]) == (503, "read-only")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert client.get("/health/ready").json()["database"] == "ok"
