"""Verification names each kind of damage, and nothing in a database that is right."""

import io
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from students import verification
from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import OPEN_STATUSES, Action, Channel, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

ACTOR = ActorContext(Channel.SYSTEM, may_waive=True)


@pytest.fixture
def enrollment():
    return enrolled(make_student(), make_course())


@contextmanager
def damage(statement, *values):
    """Damage the database in the block, past its constraints."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":  # an index is not dropped while checks are pending
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            cursor.execute(statement, values)
        yield
        transaction.set_rollback(True)


def enrolled(student, course, **options):
    enroll(student_id=student.pk, course_id=course.pk, actor=ACTOR, **options)
    return StudentCourse.objects.get(student=student, course=course, status__in=OPEN_STATUSES)


def findings():
    return list(verification.findings())


def test_a_consistent_database_has_no_findings(enrollment):
    student, course = make_student(), make_course(capacity=1, waitlist_capacity=2)
    enrolled(student, course)
    enrolled(make_student(), course, on_full=OnFull.WAITLIST)
    drop(student_id=student.pk, course_id=course.pk, actor=ACTOR)
    enrolled(student, course, on_full=OnFull.WAITLIST)
    complete(student_id=enrollment.student_id, course_id=enrollment.course_id, actor=ACTOR, grade="B")

    output = io.StringIO()
    call_command("verify", stdout=output, stderr=io.StringIO())

    assert output.getvalue() == "4 enrollments verified, nothing is wrong.\n"


def test_findings_are_listed_and_the_command_fails(enrollment):
    StudentCourse.objects.filter(pk=enrollment.pk).update(version=7)
    output = io.StringIO()

    with pytest.raises(CommandError, match=r"The database is not consistent: 1 findings\."):
        call_command("verify", stdout=output, stderr=io.StringIO())

    assert output.getvalue() == f"Enrollment {enrollment.pk} differs from its entries in the journal: version.\n"


def test_a_changed_row_is_named_with_its_fields(enrollment):
    StudentCourse.objects.filter(pk=enrollment.pk).update(enrolled_on="2020-02-02", version=2)

    assert findings() == [f"Enrollment {enrollment.pk} differs from its entries in the journal: enrolled_on, version."]


def test_a_row_without_entries_is_named(enrollment):
    other = StudentCourse.objects.create(
        student=make_student(), course=enrollment.course, status="enrolled", enrolled_on="2026-01-01"
    )

    assert findings() == [f"Enrollment {other.pk} has no entry in the journal."]


def test_entries_that_do_not_follow_are_named(enrollment):
    EnrollmentEvent.objects.create(
        enrollment=enrollment,
        action=Action.COMPLETE,
        at=timezone.now(),
        channel=Channel.SYSTEM,
        from_status="waitlisted",
        to_status="completed",
    )

    assert findings() == [f"The entries of enrollment {enrollment.pk} do not follow from each other."]


def test_a_double_open_enrollment_is_named(enrollment):
    with damage("DROP INDEX enrollment_is_open_once"):
        double = StudentCourse.objects.create(
            student=enrollment.student, course=enrollment.course, status="enrolled", enrolled_on="2026-01-01"
        )
        found = findings()

    assert found == [
        f"Student {enrollment.student_id} has 2 open enrollments in course {enrollment.course_id}.",
        f"Enrollment {double.pk} has no entry in the journal.",
    ]


def test_a_reference_to_a_missing_row_is_named(enrollment):
    with damage("UPDATE students_studentcourse SET course_id = 999999 WHERE id = %s", enrollment.pk):
        found = findings()

    assert found == [f"students.StudentCourse {enrollment.pk} has no course: it refers to a row that does not exist."]


def test_an_entry_of_a_missing_import_is_named(enrollment):
    event = EnrollmentEvent.objects.create(
        enrollment=enrollment,
        action=Action.ADOPT,
        at=timezone.now(),
        channel=Channel.IMPORT,
        from_status="enrolled",
        to_status="enrolled",
        file_import_id=999_999,
    )

    assert findings() == [
        f"students.EnrollmentEvent {event.pk} has no file_import: it refers to a row that does not exist."
    ]


def full_course():
    course = make_course(capacity=1)
    enrolled(make_student(), course)
    return course


def test_a_seat_above_the_capacity_without_a_waiver_is_named():
    course = full_course()
    with damage("UPDATE courses_course SET capacity = 2 WHERE id = %s", course.pk):
        oversold = enrolled(make_student(), course)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE courses_course SET capacity = 1 WHERE id = %s", [course.pk])
        event = oversold.events.get()
        found = findings()

    assert found == [
        f"Enrollment {oversold.pk} has a seat above the capacity of course {course.pk} without a waiver: "
        f"entry {event.pk} gave it."
    ]


def test_a_waived_seat_above_the_capacity_is_right():
    enrolled(make_student(), full_course(), waived_codes=["course_full"], reason="a seat for a wheelchair")

    assert findings() == []


def test_a_capacity_that_was_lowered_afterwards_is_right():
    course = make_course(capacity=2)
    enrolled(make_student(), course)
    enrolled(make_student(), course)
    course.history.update(history_date=timezone.now() - timedelta(days=2))
    course.capacity = 1
    course.save()

    assert findings() == []
