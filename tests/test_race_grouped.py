"""Who is enrolled at the same moment is enrolled in one transaction, and nobody suffers for the company."""

import threading
from collections import Counter
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from courses.models import Course
from school.refusals import Refused
from students.acts import OnFull, Origin
from students.enrollment import enroll
from students.models import Channel, EnrollmentEvent, StudentCourse
from tests.factories import make_course, make_student

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite one writes at a time"),
]

COMERS = 6


@contextmanager
def nobody_writes_to_the_journal():
    """Hold up whoever is at work, until the block ends."""
    with psycopg.connect(**_address(), autocommit=False) as other:
        other.execute("LOCK TABLE students_enrollmentevent IN EXCLUSIVE MODE")
        yield


class Comers:
    """Threads that each enroll a student, and what each was told."""

    def __init__(self, wishes):
        self.told: list[Any] = [None] * len(wishes)
        self.threads = [threading.Thread(target=self._come, args=each) for each in enumerate(wishes)]

    def come(self):
        """Let the first come and be at work; then all others at once, who wait for it."""
        first, *others = self.threads
        first.start()
        _until(lambda: _waiting_for_a_lock() == 1)
        for each in others:
            each.start()
        sleep(0.3)  # they have nothing to do but to wait

    def leave(self):
        for each in self.threads:
            each.join(timeout=30)
        return self.told

    def _come(self, number, wish):
        try:
            outcome = enroll(origin=Origin(Channel.API, request_id=f"request-{number}"), **wish)
            self.told[number] = "enrolled" if outcome.changed else "as it was"
        except Refused as refused:
            self.told[number] = refused.refusals[0].code
        except OperationalError:
            self.told[number] = "away"
        finally:
            connection.close()


def wishes_for(courses, students=None):
    students = students or [make_student() for _ in courses]
    return [
        {"student_id": student.pk, "course_id": course.pk} for student, course in zip(students, courses, strict=True)
    ]


def transactions():
    """Return how many enrollments were written by each transaction, the largest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM students_studentcourse")
        return [number for _xid, number in Counter(xid for (xid,) in cursor.fetchall()).most_common()]


def test_who_comes_while_others_are_at_work_is_taken_along_with_everybody_who_came_meanwhile():
    wishes = wishes_for([make_course() for _ in range(COMERS)])
    comers = Comers(wishes)
    with nobody_writes_to_the_journal():
        comers.come()

    assert comers.leave() == ["enrolled"] * COMERS
    assert transactions() == [COMERS - 1, 1]
    told = EnrollmentEvent.objects.values_list("request_id", "enrollment__student", "enrollment__course")
    assert sorted(told) == [
        (f"request-{number}", wish["student_id"], wish["course_id"]) for number, wish in enumerate(wishes)
    ]


def test_in_company_each_is_told_what_they_would_be_told_alone():
    full, lined_up, asking = make_course(capacity=0), make_course(capacity=0, waitlist_capacity=1), make_course()
    asking.prerequisites = ["BIO"]
    asking.save()
    some, again = make_course(), make_student()
    wishes = [
        *wishes_for([make_course()]),
        *wishes_for([full]),
        *[wish | {"on_full": OnFull.WAITLIST} for wish in wishes_for([lined_up] * 2)],
        *wishes_for([asking]),
        *wishes_for([some] * 2, [again] * 2),
        {"student_id": 987654, "course_id": some.pk},
        {"student_id": again.pk, "course_id": 987654},
    ]
    comers = Comers(wishes)
    with nobody_writes_to_the_journal():
        comers.come()

    told = comers.leave()

    assert told[:2] == ["enrolled", "course_full"]
    assert Counter(told[2:4]) == {"enrolled": 1, "waitlist_full": 1}
    assert told[4] == "prerequisite_missing"
    assert Counter(told[5:7]) == {"enrolled": 1, "as it was": 1}
    assert told[7:] == ["student_not_found", "course_not_found"]


def test_nobody_in_company_waits_for_a_course_that_somebody_else_is_at_work_on():
    taken, free = make_course(), [make_course() for _ in range(COMERS)]
    comers = Comers(wishes_for([taken, *free]))
    with transaction.atomic():
        Course.objects.select_for_update(no_key=True).get(pk=taken.pk)
        comers.come()
        _until(lambda: comers.told[1:] == ["enrolled"] * COMERS)
        meanwhile = list(comers.told)

    assert meanwhile == [None, *["enrolled"] * COMERS]
    assert comers.leave() == ["enrolled"] * (COMERS + 1)


def test_a_database_that_is_lost_is_lost_for_the_whole_company_at_once_and_nothing_is_done():
    comers = Comers(wishes_for([make_course() for _ in range(COMERS)]))
    with nobody_writes_to_the_journal():
        comers.come()
        _end_who_waits()
        began = monotonic()
        told = comers.leave()

    assert told == ["away"] * COMERS
    assert monotonic() - began < 5
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


def test_what_fails_in_company_is_tried_by_each_alone():
    """The lock on the journal is not had in time: who is taken along fails with who leads, and then does not."""
    comers = Comers(wishes_for([make_course() for _ in range(3)]))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE CURRENT_USER SET lock_timeout = '{700}ms'")
    try:
        with nobody_writes_to_the_journal():
            comers.come()
            sleep(0.6)  # the first has failed, and tries alone
        told = comers.leave()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER ROLE CURRENT_USER RESET lock_timeout")

    assert told == ["enrolled"] * 3


def _until(is_so, patience=20):
    ends_at = monotonic() + patience
    while not is_so():
        assert monotonic() < ends_at, "It never came to that."
        sleep(0.02)


def _waiting_for_a_lock():
    with psycopg.connect(**_address(), autocommit=True) as other:
        [[waiting]] = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchall()
    return waiting


def _end_who_waits():
    with psycopg.connect(**_address(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )


def _address() -> Any:
    params = connection.get_connection_params()
    return {name: params[name] for name in ("host", "port", "user", "dbname", "password") if params.get(name)}
