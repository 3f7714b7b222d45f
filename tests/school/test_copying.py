"""Many rows inserted at once are the rows that would be inserted one by one."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from school.copying import FEW, insert_many
from school.pressing import press
from students.acts import Origin
from students.enrollment import enroll_many
from students.models import Channel, EnrollmentEvent, StudentCourse
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db

MANY = FEW + 20
NASTY = [
    "",
    "plain",
    "tab\tnewline\nreturn\r",
    "back\\slash \\N \\. \\t",
    "quotes \" ' ",
    "ünï🎓",
    "\b\f\v",
    "{}",
    "a,b;c",
]


def columns_of(instance: Model) -> dict[str, object]:
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


@pytest.fixture
def enrollment():
    enroll_many([(make_student().pk, make_course().pk)], origin=Origin(Channel.SYSTEM))
    return StudentCourse.objects.get()


def events(enrollment):
    """Entries of the journal with everything in them that may be hard to write down."""
    [plate] = EnrollmentEvent.objects.all()
    return [
        press(
            plate,
            id=None,
            reason=NASTY[n % len(NASTY)],
            changes={NASTY[n % len(NASTY)]: [None, n, True, "\\x"]} if n % 3 else {},
            waived=[NASTY[n % len(NASTY)]] if n % 2 else [],
        )
        for n in range(MANY)
    ]


def test_rows_are_read_back_as_they_were_and_in_their_order(enrollment):
    made = events(enrollment)

    insert_many(made)

    stored = list(EnrollmentEvent.objects.order_by("pk"))[1:]
    assert [columns_of(each) for each in stored] == [columns_of(each) for each in made]
    assert [each.reason for each in stored[: len(NASTY)]] == NASTY
    assert not any(each._state.adding for each in made)


def test_nothing_is_inserted_where_one_row_cannot_be(enrollment):
    plate = press(enrollment, id=None)
    again = [press(plate, course_id=make_course().pk) for _ in range(MANY)] + [plate]

    with pytest.raises(IntegrityError, match=r"enrollment_is_open_once|UNIQUE"), transaction.atomic():
        insert_many(again)

    assert StudentCourse.objects.count() == 1


@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1])
def test_any_number_can_be_inserted(enrollment, count, django_assert_max_num_queries):
    plate = press(enrollment, id=None)
    rows = [press(plate, course_id=make_course().pk) for _ in range(count)]

    with django_assert_max_num_queries(2 if connection.vendor == "postgresql" else 4):
        insert_many(rows)

    assert StudentCourse.objects.count() == count + 1
