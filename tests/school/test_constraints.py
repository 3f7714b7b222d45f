"""An ``IntegrityError`` of a known constraint is a 409 that names its field; any other is a 500."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, UniqueConstraint
from django.test import RequestFactory

from courses.models import Course, Grade, Term
from school.db.constraints import constraint_field, violated_constraint
from school.db.loggable_error_details import constraint_name_of, error_details, sqlstate_of
from school.http.error_handlers import response_to_exception
from students.models import Status, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
OURS = ("bulk", "courses", "school", "students")


def integrity_error_of(*rows: Any) -> IntegrityError:
    """Insert rows without validation, and return the error of the database."""
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        for row in rows:
            type(row)._base_manager.bulk_create([row])
    return raised.value


def student(**fields: Any) -> Student:
    return Student(**{"student_number": "S-1", "given_name": "A", "family_name": "B", "email": "", **fields})


def course(**fields: Any) -> Course:
    return Course(**{"code": "C", "name": "A", "level": "advanced", **fields})


CLASHES: dict[str, tuple[Callable[[], list[Model]], str]] = {
    "the number of a student": (lambda: [student(), student()], "student_number"),
    "the email of a student": (
        lambda: [student(email="a@b.example"), student(student_number="S-2", email="A@b.example")],
        "email",
    ),
    "a course without a term": (lambda: [course(), course()], "code"),
    "a course in a term": (lambda: [course(term_id=term.pk) for term in [make_term()] * 2], "code"),
    "the code of a term": (
        lambda: [Term(code="T", name="A", starts_on="2026-01-01", ends_on="2026-01-01") for _ in range(2)],
        "code",
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
def test_a_unique_violation_in_the_database_returns_409_at_its_field(clash):
    rows, field = CLASHES[clash]

    answer = response_to_exception(RequestFactory().post("/api/v1/students"), integrity_error_of(*rows()))

    assert answer is not None
    problem = json.loads(answer.content)
    assert (problem["status"], [(each["code"], each["field"]) for each in problem["errors"]]) == (
        409,
        [("unique", field)],
    )


def test_a_second_open_enrollment_returns_409():
    pupil, taken = make_student(), make_course()
    rows = [
        StudentCourse(student=pupil, course=taken, status=Status.ENROLLED, enrolled_on="2026-01-01") for _ in range(2)
    ]

    known = violated_constraint(integrity_error_of(*rows))

    assert known is not None
    assert (known.name, known.is_unique) == ("enrollment_is_open_once", True)


def test_a_known_check_violation_returns_409_without_a_field():
    known = violated_constraint(integrity_error_of(course(capacity=0, level="no such level")))

    assert known is not None
    assert (known.name, known.is_unique, known.field) == ("course_level_is_known", False, None)


@pytest.mark.django_db(transaction=True)
def test_a_concurrently_deleted_row_returns_409_without_a_field():
    row = StudentCourse(student=make_student(), course_id=2**40, status=Status.ENROLLED, enrolled_on="2026-01-01")

    answer = response_to_exception(RequestFactory().post("/api/v1/students"), integrity_error_of(row))

    assert answer is not None
    assert (answer.status_code, json.loads(answer.content)["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["given_name", "student_number"])
def test_a_not_null_violation_is_not_a_known_constraint(name):
    error = integrity_error_of(student(**{name: None}))

    state = "23502" if connection.vendor == "postgresql" else "SQLITE_CONSTRAINT_NOTNULL"
    assert (violated_constraint(error), sqlstate_of(error)) == (None, state)
    assert response_to_exception(RequestFactory().post("/api/v1/students"), error) is None
    assert violated_constraint(IntegrityError("no cause")) is None


def test_the_cause_of_a_database_error_contains_no_value_of_the_row():
    error = integrity_error_of(student(email="a@b.example"), student(student_number="S-2", email="A@b.example"))

    assert error_details(error) == {
        "exception_type": "IntegrityError",
        "sqlstate": "23505" if connection.vendor == "postgresql" else "SQLITE_CONSTRAINT_UNIQUE",
        "constraint": "student_email_is_unique",
    }


def test_every_unique_constraint_of_the_database_is_known():
    unknown, seen = [], 0
    for model in apps.get_models():
        if model._meta.app_label not in OURS or not model._meta.managed:
            continue
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for name, each in found.items():
            if not each["unique"] or name.startswith("__unnamed"):
                continue
            seen += 1
            error = IntegrityError()
            error.__cause__ = _NamedError(name)
            if connection.vendor == "postgresql" and violated_constraint(error) is None:
                unknown.append(name)
    assert unknown == []
    assert seen > 5


class _NamedError(Exception):
    """A psycopg error with the attributes that are read."""

    sqlstate = "23505"

    def __init__(self, name: str) -> None:
        self.diag = type("Diagnostic", (), {"constraint_name": name})
        super().__init__()


def test_every_unique_constraint_of_editable_models_names_a_field():
    models = [Student, Course, Grade, Term]
    unique = [each for model in models for each in model._meta.constraints if isinstance(each, UniqueConstraint)]

    assert {each.name: constraint_field(each) for each in unique} == {
        "student_email_is_unique": "email",
        "grade_rank_is_unique": "rank",
        "course_code_is_unique_in_a_term": "code",
        "course_code_is_unique_without_a_term": "code",
    }


def test_a_constraint_that_no_model_declares_returns_500(api):
    make_student(given_name="Ada")
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX nobody_knows ON students_student (given_name)")
    api.raise_request_exception = False

    answer = api.post("/api/v1/students", {"student_number": "S-2", "given_name": "Ada", "family_name": "B"})

    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert constraint_name_of(IntegrityError()) == ""


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_concurrent_inserts_is_refused_with_the_field(api):
    body = {"student_number": "S-2", "given_name": "Ada", "family_name": "B", "email": "ADA@example.edu"}
    answers: list[Any] = []

    def post() -> None:
        answers.append(api.post("/api/v1/students", body))
        connection.close()

    with transaction.atomic():
        make_student(email="ada@example.edu")
        second = threading.Thread(target=post)
        second.start()
        second.join(1)
        assert second.is_alive()  # it waits for the first
    second.join(20)

    [answer] = answers
    assert (answer.status_code, answer.json()["code"], answer.json()["errors"]) == (
        409,
        "unique",
        [{"code": "unique", "field": "email", "message": "Another student has this email address."}],
    )
    assert Student.objects.count() == 1
