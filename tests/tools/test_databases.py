"""A transactional test leaves nothing to the next test."""

import pytest
from django.db import connection

from oneroster.models import Touched
from students.models import Student
from tests.support.databases import empty_tables
from tests.support.factories import make_course, make_student


@pytest.mark.django_db(transaction=True)
def test_no_row_is_left_that_a_trigger_writes_while_rows_are_deleted():
    make_student()
    make_course()
    empty_tables()

    assert (Student.objects.count(), Touched.objects.count()) == (0, 0)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's ids go on where an earlier test ended")
@pytest.mark.django_db(transaction=True)
def test_the_ids_on_sqlite_begin_again():
    first = make_student().pk
    empty_tables()

    assert make_student().pk == first
