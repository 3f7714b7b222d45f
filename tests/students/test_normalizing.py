"""The data migration that normalizes stored texts."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from students.models import Student
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

STUDENTS = import_module("students.migrations.0022_normalized_texts")
COURSES = import_module("courses.migrations.0006_normalized_texts")


def store(table, pk, **columns):
    """Store texts without the normalization of the model fields."""
    names = ", ".join(f"{name} = %s" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {names} WHERE id = %s", [*columns.values(), pk])  # noqa: S608  # our names


def test_stored_texts_are_normalized_and_invisible_names_become_the_number():
    student, nameless, course = make_student(), make_student(student_number="S-2"), make_course(prerequisites=[])
    store("students_student", student.pk, student_number="E\u0301-1", given_name="Zoe\u0308", email="a@E\u0301.example")
    store("students_student", nameless.pk, given_name="\u200b", family_name="\u2060")
    store("courses_course", course.pk, code="E\u0301T", prerequisites='["E\u0301-1"]')

    STUDENTS.normalize(apps, None)
    COURSES.normalize(apps, None)

    rows = Student.objects.order_by("pk").values_list("student_number", "given_name", "email", "family_name")
    assert rows[0][:3] == ("\u00c9-1", "Zo\u00eb", "a@\u00e9.example")
    assert (rows[1][1], rows[1][3]) == ("", "S-2")
    course.refresh_from_db()
    assert (course.code, course.prerequisites) == ("\u00c9T", ["\u00c9-1"])


@pytest.mark.parametrize(
    ("column", "values"),
    [("student_number", ("\u00c9-1", "E\u0301-1")), ("email", ("a@\u00e9.example", "A@E\u0301.example"))],
)
def test_the_migration_stops_with_the_ids_of_students_that_would_become_equal(column, values):
    first, second = make_student(), make_student()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and column == "email":
            cursor.execute("DROP INDEX student_email_is_unique")  # its lower() may compare the two as equal already
    for student, value in zip((first, second), values, strict=True):
        store("students_student", student.pk, **{column: value})

    with pytest.raises(ValueError, match=rf"the same {column}.*ids {first.pk}, {second.pk}$"):
        STUDENTS.normalize(apps, None)
