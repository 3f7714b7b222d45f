"""Parallel swaps of students in the same courses, on parallel connections to PostgreSQL."""

from random import Random

import pytest
from django.db import connection

from school.refusals import Refused
from stress.invariants import violations
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, StudentCourse
from tests.races.test_student_lock import CROSSWISE_ROUNDS, deadlocks
from tests.support.factories import make_course, make_student
from tests.support.races import race

ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def test_crosswise_swaps_in_two_full_courses_are_refused_without_a_deadlock():
    courses = [make_course(capacity=1) for _ in range(2)]
    students = [make_student() for _ in range(2)]
    for student, course in zip(students, courses, strict=True):
        enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)
    refused = []

    def act(runner, number):
        old, new = courses[runner], courses[1 - runner]
        try:
            enroll(student_id=students[runner].pk, course_id=new.pk, instead_of=old.pk, actor=ORIGIN)
        except Refused as error:
            refused.append([refusal.code for refusal in error.refusals])

    before = deadlocks()
    race(act, CROSSWISE_ROUNDS, runners=2)

    assert refused == [["course_full"]] * 2 * CROSSWISE_ROUNDS
    assert deadlocks() == before
    enrolled = StudentCourse.objects.enrolled().order_by("student").values_list("student", "course")
    assert list(enrolled) == [(student.pk, course.pk) for student, course in zip(students, courses, strict=True)]


def test_swaps_with_waitlists_in_three_courses_keep_the_invariants():
    """Students swap, wait for swaps and leave at random: each has at most one of the seats for which it swaps."""
    courses = [make_course(capacity=2, waitlist_capacity=None) for _ in range(3)]
    students = [make_student() for _ in range(4)]
    choices = [Random(runner) for runner in range(4)]

    def act(runner, number):
        choose, student = choices[runner], students[runner]
        new, old = choose.sample(courses, 2)
        swap = {"instead_of": old.pk} if choose.random() < 0.7 else {}
        try:
            if choose.random() < 0.3:
                drop(student_id=student.pk, course_id=old.pk, actor=ORIGIN)
            else:
                on_full = choose.choice(list(OnFull))
                enroll(student_id=student.pk, course_id=new.pk, on_full=on_full, actor=ORIGIN, **swap)
        except Refused:
            pass

    race(act, CROSSWISE_ROUNDS, runners=4)

    assert violations() == []
