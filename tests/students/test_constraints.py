"""
Database constraints of students.

The constraints of enrollments are tested in test_enrollment.py.
"""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from students.models import Student
from tests.support.factories import make_student


@pytest.mark.django_db
def test_the_database_refuses_a_duplicate_email_address_in_any_case():
    make_student(email="ada@school.example")
    make_student(email="")
    make_student(email="")

    with pytest.raises(IntegrityError):
        make_student(email="Ada@School.example")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given",
    [
        {"student_number": "S-1"},
        {"given_name": "Ada"},
        {"family_name": "Byron"},
        {"email": "a@b.example"},
        {"is_active": True},
    ],
)
def test_the_database_refuses_a_name_for_an_erased_student(given):
    student = make_student()
    nothing = {"given_name": "", "family_name": "", "email": "", "is_active": False}
    Student.objects.filter(pk=student.pk).update(
        student_number=f"erased-{student.pk}", erased_at=timezone.now(), **nothing
    )

    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.filter(pk=student.pk).update(**given)


@pytest.mark.django_db
def test_the_database_refuses_a_student_without_a_name():
    student = make_student(given_name="", family_name="Byron")

    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.filter(pk=student.pk).update(family_name="")
