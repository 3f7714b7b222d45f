"""Parallel connections to PostgreSQL compete for the last seat."""

import threading
from itertools import count

import pytest
from django.conf import settings
from django.db import connection, transaction
from psycopg import sql
from rest_framework.test import APIClient

from courses.models import Course
from school.db.compiled_queries import PreparedQuery
from school.refusals import Refused
from students.enrollment import drop, enroll, enroll_many, loading
from students.enrollment.actor_context import ActorContext
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.races import RUNNERS, race

ROUNDS = 50
SEATS = RUNNERS // 4  # the number of seats of a course for which all runners compete
ORIGIN = ActorContext(Channel.SYSTEM)
ORIGINS = [ActorContext(Channel.API), ORIGIN]  # for the API and for other callers

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def race_for_the_last_seat(rounds):
    """Return how many students got the one seat of the course of each round."""
    students = [make_student() for _ in range(RUNNERS)]
    courses = [make_course(capacity=1) for _ in range(rounds)]
    codes: list[tuple[str, ...]] = []

    def act(runner, number):
        try:
            enroll(student_id=students[runner].pk, course_id=courses[number].pk, actor=ORIGINS[runner % 2])
        except Refused as refused:
            codes.append(tuple(refusal.code for refusal in refused.refusals))

    race(act, rounds)
    assert set(codes) <= {("course_full",)}
    return [StudentCourse.objects.enrolled().filter(course=course).count() for course in courses]


def test_the_last_seat_is_never_given_twice():
    assert race_for_the_last_seat(ROUNDS) == [1] * ROUNDS


def test_without_the_lock_the_last_seat_is_given_twice(monkeypatch):
    """The test above can fail: without the lock a seat is given twice within a few rounds."""
    without = PreparedQuery(lambda ids: Course.objects.filter(pk__any_of=ids).select_related("term").order_by("pk"))
    monkeypatch.setattr(loading, "LOCK_COURSES", without)

    assert max(race_for_the_last_seat(ROUNDS)) > 1


def test_a_request_refused_by_a_full_course_does_not_wait_for_its_lock():
    course, first, second = make_course(capacity=1), make_student(), make_student()
    enroll(student_id=first.pk, course_id=course.pk, actor=ORIGIN)
    with pytest.raises(Refused):
        enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN)
    codes = []

    def ask():
        try:
            enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN)
        except Refused as refused:
            codes.append([refusal.code for refusal in refused.refusals])
        finally:
            connection.close()

    with transaction.atomic():
        Course.objects.select_for_update(no_key=True).get(pk=course.pk)
        waiter = threading.Thread(target=ask)
        waiter.start()
        waiter.join(timeout=20)
        told_meanwhile = list(codes)

    assert told_meanwhile == [["course_full"]]


def test_a_freed_seat_is_given_although_the_course_was_cached_as_full():
    course, first, second = make_course(capacity=1), make_student(), make_student()
    enroll(student_id=first.pk, course_id=course.pk, actor=ORIGIN)
    with pytest.raises(Refused):
        enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN)
    drop(student_id=first.pk, course_id=course.pk, actor=ORIGIN)

    assert enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN).changed


def test_under_repeatable_read_no_seat_is_given_twice():
    """Under REPEATABLE READ a transaction that waited for the lock would count the seats of its old snapshot."""
    database = sql.Identifier(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'").format(database)
        )
    try:
        assert race_for_the_last_seat(10) == [1] * 10
    finally:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_isolation").format(database))


def test_two_simultaneous_requests_of_a_student_enroll_once():
    student, courses = make_student(), [make_course() for _ in range(ROUNDS)]
    changed = count()

    def act(runner, number):
        if enroll(student_id=student.pk, course_id=courses[number].pk, actor=ORIGINS[runner % 2]).changed:
            next(changed)

    race(act, ROUNDS)

    assert (next(changed), StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (ROUNDS,) * 3


def test_seats_freed_and_taken_simultaneously_never_exceed_the_capacity():
    students, course = [make_student() for _ in range(RUNNERS)], make_course(capacity=SEATS)
    seen: list[int] = []
    codes: set[str] = set()

    def act(runner, number):
        verb = enroll if (runner + number) % 3 else drop
        try:
            verb(student_id=students[runner].pk, course_id=course.pk, actor=ORIGINS[runner % 2])
        except Refused as refused:
            codes.update(refusal.code for refusal in refused.refusals)
        seen.append(StudentCourse.objects.enrolled().filter(course=course).count())

    race(act, ROUNDS)

    assert (max(seen), codes) == (SEATS, {"course_full", "not_enrolled"})
    assert EnrollmentEvent.objects.count() == sum(StudentCourse.objects.values_list("version", flat=True))


def test_batches_that_name_the_same_courses_in_any_order_do_not_deadlock():
    students = [make_student() for _ in range(RUNNERS)]
    courses = [make_course(capacity=SEATS) for _ in range(6)]

    def act(runner, number):
        order = courses if runner % 2 else reversed(courses)
        enroll_many([(students[runner].pk, course.pk) for course in order], actor=ORIGIN)

    race(act, 5)

    assert [StudentCourse.objects.enrolled().filter(course=course).count() for course in courses] == [SEATS] * 6


def test_two_simultaneous_changes_of_different_fields_are_both_kept(make_client):
    program = make_client("students:write", "students:read")
    token = program._credentials["HTTP_AUTHORIZATION"]
    students = [make_student(given_name="old", family_name="old") for _ in range(10)]

    def act(runner, number):
        field = "given_name" if runner % 2 else "family_name"
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        answer = client.patch(f"/api/v1/students/{students[number].pk}", {field: "new"})
        assert answer.status_code == 200

    race(act, 10)

    assert set(Student.objects.values_list("given_name", "family_name")) == {("new", "new")}


def test_a_lock_timeout_on_a_course_asks_the_client_to_try_again(make_client, monkeypatch):
    program = make_client("enrollments:write")
    student, course = make_student(), make_course()
    locked, released = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Course.objects.select_for_update().get(pk=course.pk)
            locked.set()
            released.wait(timeout=60)
        connection.close()

    def ask():
        return program.post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk})

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(timeout=60)
    # The server's timeout, only shorter. Through a pooler, it is set in each transaction.
    if settings.POOLER:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_limits", {"lock_timeout": 200})
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
    busy = ask()
    released.set()
    holder.join()
    again = ask()
    connection.close()

    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (503, "busy", "2")
    assert again.status_code == 201


def test_two_simultaneous_prerequisite_changes_do_not_create_a_cycle(make_client):
    token = make_client("courses:write")._credentials["HTTP_AUTHORIZATION"]
    pairs = [(make_course(code=f"A-{n}"), make_course(code=f"B-{n}")) for n in range(10)]

    def act(runner, number):
        course, other = pairs[number] if runner % 2 else pairs[number][::-1]
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        answer = client.patch(f"/api/v1/courses/{course.pk}", {"prerequisites": [other.code]})
        assert answer.status_code in (200, 400)

    race(act, rounds=len(pairs))

    asking = [
        [c.prerequisites for c in Course.objects.filter(pk__in=[a.pk, b.pk]) if c.prerequisites] for a, b in pairs
    ]
    assert [len(each) for each in asking] == [1] * len(pairs)
