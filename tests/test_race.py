"""The last seat, raced for by parallel connections to PostgreSQL."""

import threading
from itertools import count

import pytest
from django.db import connection, transaction
from psycopg import sql
from rest_framework.test import APIClient

from courses.models import Course
from school.db.compiled_queries import Prepared
from school.refusals import Refused
from students.enrollment import drop, enroll, enroll_many, loading
from students.enrollment.commands import ActorContext
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.factories import make_course, make_student
from tests.races import RUNNERS, race

ROUNDS = 50
ORIGIN = ActorContext(Channel.SYSTEM)
ORIGINS = [ActorContext(Channel.API), ORIGIN]  # API requests and others alike

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def race_for_the_last_seat(rounds):
    """Return how many got the one seat of each round's course."""
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


def test_the_last_seat_is_never_sold_twice():
    assert race_for_the_last_seat(ROUNDS) == [1] * ROUNDS


def test_without_the_lock_the_last_seat_is_sold_twice(monkeypatch):
    """The race above would notice: with the lock taken out it fails within a few rounds."""
    without = Prepared(lambda ids: Course.objects.filter(pk__among=ids).select_related("term").order_by("pk"))
    monkeypatch.setattr(loading, "LOCK_COURSES", without)

    assert max(race_for_the_last_seat(ROUNDS)) > 1


def test_who_is_refused_by_a_full_course_does_not_wait_for_its_lock():
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


def test_a_seat_that_comes_free_is_given_though_the_course_was_full_a_moment_ago():
    course, first, second = make_course(capacity=1), make_student(), make_student()
    enroll(student_id=first.pk, course_id=course.pk, actor=ORIGIN)
    with pytest.raises(Refused):
        enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN)
    drop(student_id=first.pk, course_id=course.pk, actor=ORIGIN)

    assert enroll(student_id=second.pk, course_id=course.pk, actor=ORIGIN).changed


def test_a_server_that_isolates_more_than_it_should_sells_no_seat_twice():
    """Under REPEATABLE READ, who waited for the lock would count the seats as they were before."""
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


def test_a_student_who_clicks_twice_is_enrolled_once():
    student, courses = make_student(), [make_course() for _ in range(ROUNDS)]
    changed = count()

    def act(runner, number):
        if enroll(student_id=student.pk, course_id=courses[number].pk, actor=ORIGINS[runner % 2]).changed:
            next(changed)

    race(act, ROUNDS)

    assert (next(changed), StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (ROUNDS,) * 3


def test_seats_given_back_and_taken_at_once_never_exceed_the_capacity():
    students, course = [make_student() for _ in range(RUNNERS)], make_course(capacity=5)
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

    assert (max(seen), codes) == (5, {"course_full", "not_enrolled"})
    assert EnrollmentEvent.objects.count() == sum(StudentCourse.objects.values_list("version", flat=True))


def test_batches_that_name_the_same_courses_in_any_order_do_not_deadlock():
    students = [make_student() for _ in range(RUNNERS)]
    courses = [make_course(capacity=10) for _ in range(6)]

    def act(runner, number):
        order = courses if runner % 2 else reversed(courses)
        enroll_many([(students[runner].pk, course.pk) for course in order], actor=ORIGIN)

    race(act, 5)

    assert [StudentCourse.objects.enrolled().filter(course=course).count() for course in courses] == [10] * 6


def test_two_who_change_different_fields_at_once_do_not_undo_each_other(make_client):
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


def test_who_waits_too_long_for_a_course_is_told_to_try_again(make_client):
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
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")  # what the server asks for when it connects, only shorter
    busy = ask()
    released.set()
    holder.join()
    again = ask()
    connection.close()

    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (503, "busy", "2")
    assert again.status_code == 201


def test_two_courses_that_ask_for_each_other_at_once_do_not_close_a_circle(make_client):
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
