"""Bulk inserts and updates write the same rows as single statements."""

from datetime import UTC, date, datetime

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Model

from school.db.bulk_writes import MAX_INSERT_ROWS, insert_many, update_many
from school.db.fast_model_instances import clone_instance
from students.enrollment import enroll_many
from students.enrollment.actor_context import ActorContext
from students.models import Channel, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

MANY = MAX_INSERT_ROWS + 20
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
    enroll_many([(make_student().pk, make_course().pk)], actor=ActorContext(Channel.SYSTEM))
    return StudentCourse.objects.get()


def events(enrollment):
    """Return journal entries with values that are hard to serialize."""
    [plate] = EnrollmentEvent.objects.all()
    return [
        clone_instance(
            plate,
            id=None,
            reason=NASTY[n % len(NASTY)],
            changes={NASTY[n % len(NASTY)]: [None, n, True, "\\x"]} if n % 3 else {},
            waived=[NASTY[n % len(NASTY)]] if n % 2 else [],
        )
        for n in range(MANY)
    ]


def test_bulk_insert_preserves_values_and_order(enrollment):
    made = events(enrollment)

    insert_many(made)

    stored = list(EnrollmentEvent.objects.order_by("pk"))[1:]
    assert [columns_of(each) for each in stored] == [columns_of(each) for each in made]
    assert [each.reason for each in stored[: len(NASTY)]] == NASTY
    assert not any(each._state.adding for each in made)


def test_bulk_insert_writes_nothing_when_one_row_is_invalid(enrollment):
    plate = clone_instance(enrollment, id=None)
    again = [clone_instance(plate, course_id=make_course().pk) for _ in range(MANY)] + [plate]

    with pytest.raises(IntegrityError, match=r"enrollment_is_open_once|UNIQUE"), transaction.atomic():
        insert_many(again)

    assert StudentCourse.objects.count() == 1


@pytest.mark.parametrize("count", [0, 1, MAX_INSERT_ROWS, MAX_INSERT_ROWS + 1])
def test_bulk_insert_accepts_any_number_of_rows(enrollment, count, django_assert_max_num_queries):
    plate = clone_instance(enrollment, id=None)
    rows = [clone_instance(plate, course_id=make_course().pk) for _ in range(count)]

    with django_assert_max_num_queries(2 if connection.vendor == "postgresql" else 4):
        insert_many(rows)

    assert StudentCourse.objects.count() == count + 1


@pytest.mark.parametrize("size", [0, 1, MANY])
def test_bulk_update_changes_only_the_named_fields(enrollment, size):
    ended = {"status": "completed", "ended_on": enrollment.enrolled_on}
    made = [clone_instance(enrollment, id=None, **ended, course_id=make_course().pk) for _ in range(size)]
    insert_many(made)
    for place, each in enumerate(made):
        each.grade, each.version = NASTY[place % len(NASTY)] or "NULL", 7
        each.enrolled_on = date(1999, 1, 1)

    update_many(made, ["grade", "version"])

    stored = StudentCourse.objects.order_by("pk").values_list("pk", "grade", "version", "enrolled_on")
    assert list(stored) == [
        (enrollment.pk, "", 1, enrollment.enrolled_on),
        *((each.pk, each.grade, 7, enrollment.enrolled_on) for each in made),
    ]


def test_bulk_update_preserves_dates_datetimes_and_nulls(enrollment):
    enrollment.status, enrollment.enrolled_on, enrollment.ended_on = "completed", date(2026, 1, 2), date(2026, 3, 4)
    enrollment.waitlisted_at = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
    names = ["status", "enrolled_on", "ended_on", "waitlisted_at"]
    update_many([enrollment], names)
    assert columns_of(StudentCourse.objects.get()) == columns_of(enrollment)

    enrollment.status, enrollment.ended_on, enrollment.waitlisted_at = "enrolled", None, None
    update_many([enrollment], names)

    assert columns_of(StudentCourse.objects.get()) == columns_of(enrollment)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not bound texts.")
def test_a_text_too_long_for_its_column_is_rejected_and_not_truncated(enrollment):
    enrollment.grade = "A" * 33

    with pytest.raises(DataError), transaction.atomic():
        update_many([enrollment], ["grade"])

    assert StudentCourse.objects.get().grade == ""
