"""The invariant checks of the tests and the stress runs detect violations."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from courses.models import Course
from stress.invariants import duplicate_open_enrollments, lost_enrollments, violations, wrong_counts
from students.enrollment import drop, enroll_many
from students.enrollment.commands import OnFull
from students.models import Action, Channel, EnrollmentEvent, Status, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db


@pytest.fixture
def crowd(actor):
    """A course with two seats taken and two waitlisted students, in the order of their ids."""
    course = make_course(capacity=2, waitlist_capacity=2)
    students = [make_student() for _ in range(4)]
    enroll_many([(student.pk, course.pk) for student in students], on_full=OnFull.WAITLIST, actor=actor)
    assert violations() == []
    return course, list(StudentCourse.objects.order_by("pk"))


def add_event(enrollment, **fields):
    """Add a journal entry of a change that never happened."""
    return EnrollmentEvent.objects.create(
        enrollment=enrollment, at=timezone.now(), channel=Channel.SYSTEM, **{"action": Action.ENROLL, **fields}
    )


def test_a_waitlisted_student_beside_a_free_seat_is_detected(crowd):
    course, (_first, _second, third, fourth) = crowd
    Course.objects.update(capacity=3)

    assert violations() == [
        f"Enrollment {each.pk} waits for course {course.pk}, which has a free seat." for each in (third, fourth)
    ]


def test_a_row_changed_without_a_journal_entry_is_detected(crowd):
    _course, (first, *_others) = crowd
    StudentCourse.objects.filter(pk=first.pk).update(version=7)

    [sentence] = violations()

    assert sentence.startswith(f"Enrollment {first.pk} is ")


def test_a_gap_in_the_journal_is_detected(crowd):
    _course, (first, *_others) = crowd
    add_event(first, action=Action.COMPLETE, from_status=Status.WAITLISTED, to_status=Status.COMPLETED)

    [sentence] = violations()

    assert sentence.startswith(f"The journal of enrollment {first.pk} does not hang together: ")


def test_more_students_than_seats_or_waitlist_positions_are_detected(crowd):
    _course, (_first, second, _third, fourth) = crowd
    seat, place = second.events.get(), fourth.events.get()

    assert violations(lambda event: (1, 1)) == [
        f"Entry {seat.pk} gives a seat of which all 1 are taken.",
        f"Entry {place.pk} gives a place in line of which all 1 are taken.",
    ]


def test_a_promotion_out_of_order_is_detected(crowd, actor):
    course, (first, _second, third, fourth) = crowd
    StudentCourse.objects.filter(pk=third.pk).update(waitlisted_at=timezone.now() + timedelta(hours=1))
    drop(student_id=first.student_id, course_id=course.pk, actor=actor)
    StudentCourse.objects.filter(pk=third.pk).update(waitlisted_at=third.waitlisted_at)
    promoted = EnrollmentEvent.objects.get(action=Action.PROMOTE)

    assert promoted.enrollment == fourth
    assert violations() == [f"Entry {promoted.pk} gives a seat before those who came first: [{third.pk}]."]


def test_enrolling_a_new_student_before_a_waitlisted_one_is_detected(crowd):
    _course, (first, _second, third, fourth) = crowd
    add_event(first, action=Action.DROP, from_status=Status.ENROLLED, to_status=Status.DROPPED)
    newcomer = add_event(first, to_status=Status.ENROLLED)

    assert f"Entry {newcomer.pk} gives a newcomer a seat for which somebody waits: {[third.pk, fourth.pk]}." in (
        violations()
    )


def test_a_waitlist_entry_inserted_before_an_earlier_one_is_detected(crowd):
    _course, (_first, _second, third, fourth) = crowd
    joined = fourth.events.get()
    StudentCourse.objects.filter(pk=third.pk).update(waitlisted_at=fourth.waitlisted_at + timedelta(seconds=1))

    assert f"Entry {joined.pk} gives a place in line before somebody who was there." in violations()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps its constraints in a transaction")
def test_two_open_enrollments_of_one_student_are_detected(crowd):
    course, (first, *_others) = crowd
    [unique] = [each for each in StudentCourse._meta.constraints if each.name == "enrollment_is_open_once"]
    with connection.schema_editor() as editor:
        editor.remove_constraint(StudentCourse, unique)
    first.pk = None
    first.save()

    assert list(duplicate_open_enrollments()) == [
        f"Student {first.student_id} has 2 open enrollments in course {course.pk}."
    ]


def test_an_acknowledged_enrollment_that_is_missing_is_detected(crowd):
    _course, enrollments = crowd

    assert lost_enrollments([enrollments[0].pk, 1_000_000]) == ["Enrollment 1000000 was answered and is not there."]


def test_a_course_with_unexpected_enrollment_counts_is_detected(crowd):
    course, _enrollments = crowd

    assert wrong_counts(course, enrolled=2, waiting=2) == []
    assert wrong_counts(course, enrolled=3, waiting=1) == [
        f"Course {course.pk} has 2 enrolled, not 3.",
        f"Course {course.pk} has 2 waitlisted, not 1.",
    ]
