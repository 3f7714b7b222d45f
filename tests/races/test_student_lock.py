"""Parallel enrollments of one student in several courses follow the rules about the student's other courses."""

import os
from random import Random

import pytest
from django.db import connection

from school.db.compiled_queries import PreparedQuery
from school.refusals import Refused
from stress.invariants import violations
from students.enrollment import enroll, execute, execute_atomic, other_courses_loading
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.races import race

ROUNDS = 50
CROSSWISE_ROUNDS = int(os.environ.get("CROSSWISE_ROUNDS", "100"))  # stress.races sets 1,000
ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def courses_of_rounds(rounds: int, count: int = 2):
    """Return the courses of each round, of which a student may take one."""
    terms = [make_term(max_credits=4) for _ in range(rounds)]
    return [[make_course(term=term, credits=3) for _ in range(count)] for term in terms]


def race_for_the_credits(rounds):
    """Return the number of courses that the student has in each round, of which the credits allow one."""
    student, courses = make_student(), courses_of_rounds(rounds)
    codes: list[tuple[str, ...]] = []

    def act(runner, number):
        try:
            enroll(student_id=student.pk, course_id=courses[number][runner].pk, actor=ORIGIN)
        except Refused as refused:
            codes.append(tuple(refusal.code for refusal in refused.refusals))

    race(act, rounds, runners=2)
    assert set(codes) <= {("too_many_credits",)}
    return [StudentCourse.objects.enrolled().filter(course__in=each).count() for each in courses]


def test_parallel_enrollments_in_two_courses_never_exceed_the_credits():
    assert race_for_the_credits(ROUNDS) == [1] * ROUNDS


def test_without_the_lock_of_the_student_the_credits_are_exceeded(monkeypatch):
    """The test above can fail: without the lock a student gets too many credits within a few rounds."""
    without = PreparedQuery(lambda ids: Student.objects.filter(pk__any_of=ids).values_list("pk", "max_credits"))
    monkeypatch.setattr(other_courses_loading, "LOCK_FOR_OTHER_COURSES", without)

    assert max(race_for_the_credits(ROUNDS)) > 1


def test_a_promotion_and_an_enrollment_never_exceed_the_credits():
    waiting, leaving, courses = make_student(), make_student(), courses_of_rounds(ROUNDS)
    for full, _other in courses:
        full.capacity, full.waitlist_capacity = 1, 1
        full.save()
        for student in (leaving, waiting):
            enroll(student_id=student.pk, course_id=full.pk, on_full=OnFull.WAITLIST, actor=ORIGIN)

    def act(runner, number):
        full, other = courses[number]
        if runner == 0:
            execute([EnrollmentCommand(Action.DROP, leaving.pk, full.pk)], ORIGIN)
        else:
            execute([EnrollmentCommand(Action.ENROLL, waiting.pk, other.pk)], ORIGIN)

    race(act, ROUNDS, runners=2)

    counts = [StudentCourse.objects.enrolled().filter(student=waiting, course__in=each).count() for each in courses]
    assert counts == [1] * ROUNDS
    assert violations() == []


def test_two_students_crosswise_in_two_courses_do_not_deadlock():
    """
    Drops, enrollments and batches of two students in two courses, each of which frees credits for the other course.

    Locks are always taken in one order, so PostgreSQL ends no transaction, and none is repeated.
    """
    students, [courses] = [make_student(), make_student()], courses_of_rounds(1)
    for course in courses:
        course.capacity, course.waitlist_capacity = 1, None
        course.save()
    codes: set[str] = set()
    verbs = [
        (Action.ENROLL, OnFull.REJECT),
        (Action.ENROLL, OnFull.WAITLIST),
        (Action.DROP, OnFull.REJECT),
        (Action.DROP, OnFull.REJECT),
    ]
    choices = [Random(runner) for runner in range(4)]

    def act(runner, number):
        choose = choices[runner]
        keys = [(students[(runner + place) % 2], courses[(runner // 2 + place) % 2]) for place in range(2)]
        choose.shuffle(keys)
        acts = []
        for student, course in keys[: choose.randint(1, 2)]:
            action, on_full = choose.choice(verbs)
            acts.append(EnrollmentCommand(action, student.pk, course.pk, on_full=on_full))
        outcomes = choose.choice([execute, execute_atomic])(acts, ORIGIN)
        codes.update(refusal.code for outcome in outcomes for refusal in outcome.refusals)

    before = deadlocks()
    race(act, CROSSWISE_ROUNDS, runners=4)

    assert codes <= {"too_many_credits", "course_full", "not_enrolled"}
    assert "too_many_credits" in codes
    assert deadlocks() == before
    assert violations() == []


def deadlocks() -> int:
    """Return the number of transactions that PostgreSQL has ended to resolve deadlocks in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        [count] = cursor.fetchone()
    return int(count)
