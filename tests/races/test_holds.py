"""A hold is placed or released while a command on an enrollment is running."""

import pytest
from django.db import connection

from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.holds import RequestedHold, place_holds, release_holds
from students.models import Channel, Hold, Status, Student, StudentCourse
from tests.races.test_students import by_a_client, in_a_file
from tests.support.factories import make_course, make_hold, make_student
from tests.support.races import PATIENCE, BackgroundCall, a_lock_is_waited_for, race, uncommitted

ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap"),
]


@pytest.mark.parametrize("way", [by_a_client, in_a_file], ids=lambda each: each.__name__)
def test_every_way_of_enrolling_waits_for_a_hold_being_placed_and_is_refused(way):
    student, course = make_student(), make_course()

    with uncommitted(lambda: make_hold(student)):
        asking = BackgroundCall(lambda: way(student.pk, course.pk))
        waited = a_lock_is_waited_for()
    asking.join()

    assert (waited, asking.error, asking.result) == (True, None, ["on_hold"])
    assert StudentCourse.objects.count() == 0


def test_a_hold_waits_for_the_commit_of_an_enrollment_and_is_placed_after_it():
    student, course = make_student(), make_course()

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        placing = BackgroundCall(lambda: make_hold(student))
        waited = a_lock_is_waited_for()
    placing.join()

    assert (waited, placing.error) == (True, None)
    assert Hold.objects.get().placed_at > StudentCourse.objects.get().created_at


def test_a_waitlisted_student_who_gets_a_hold_is_passed_over():
    first, second, third = make_student(), make_student(), make_student()
    course = make_course(capacity=1, waitlist_capacity=2)
    for student in (first, second, third):
        enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN, on_full=OnFull.WAITLIST)

    with uncommitted(lambda: make_hold(second)):
        dropping = BackgroundCall(lambda: drop(student_id=first.pk, course_id=course.pk, actor=ORIGIN))
        waited = a_lock_is_waited_for()
    dropping.join()

    assert (waited, dropping.error) == (True, None)
    assert list(StudentCourse.objects.enrolled().values_list("student", flat=True)) == [third.pk]


def test_an_enrollment_of_another_student_does_not_wait_for_a_hold():
    student, other, course = make_student(), make_student(), make_course()

    with uncommitted(lambda: make_hold(student)):
        enrolling = BackgroundCall(lambda: enroll(student_id=other.pk, course_id=course.pk, actor=ORIGIN))
        enrolling.join(timeout=PATIENCE)
        waits = enrolling.is_alive()
    enrolling.join()

    assert (waits, enrolling.error) == (False, None)


def test_a_seat_freed_during_a_release_is_given_by_one_of_both():
    """A drop and a release of the waitlisted student's hold at the same time: nobody waits while a seat is free."""
    rounds = 20
    courses = [make_course(capacity=1, waitlist_capacity=1) for _ in range(rounds)]
    holders, waiters = [make_student() for _ in courses], [make_student() for _ in courses]
    for course, holder, waiter in zip(courses, holders, waiters, strict=True):
        for student in (holder, waiter):
            enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN, on_full=OnFull.WAITLIST)
    holds = [make_hold(waiter) for waiter in waiters]

    def act(runner: int, number: int) -> None:
        if runner:
            release_holds([holds[number].pk], actor=ORIGIN)
        else:
            drop(student_id=holders[number].pk, course_id=courses[number].pk, actor=ORIGIN)

    race(act, rounds, runners=2)

    statuses = StudentCourse.objects.filter(student__in=waiters).values_list("status", flat=True)
    assert set(statuses) == {Status.ENROLLED}


def test_a_hold_placed_by_many_at_the_same_time_is_placed_once():
    rounds = 20
    students = [make_student() for _ in range(rounds)]

    def act(runner: int, number: int) -> None:
        [placement] = place_holds([RequestedHold(students[number].pk, "LIBRARY")], actor=ORIGIN)
        assert placement.hold is not None

    race(act, rounds)

    assert Hold.objects.count() == rounds
    assert Student.objects.filter(has_holds=True).count() == rounds
