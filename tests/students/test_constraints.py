"""What the database refuses of a student, whoever writes it. Of enrollments: see test_enrollment.py."""

import pytest
from django.db import IntegrityError

from tests.factories import make_student


@pytest.mark.django_db
def test_the_database_refuses_an_email_address_twice_whatever_its_case():
    make_student(email="ada@school.example")
    make_student(email="")
    make_student(email="")

    with pytest.raises(IntegrityError):
        make_student(email="Ada@School.example")
