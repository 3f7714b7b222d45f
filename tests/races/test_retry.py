"""Transactions that PostgreSQL aborts because of a conflict are repeated, and finally answered with 503."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg import IsolationLevel

from courses.models import Course
from school.db.retry import MAX_TRIES
from students.enrollment import enroll, enroll_many
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent
from tests.support.factories import make_course, make_student

ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]


@pytest.fixture(autouse=True)
def superuser(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone()[0] != "on":
            pytest.skip("only a superuser may set deadlock_timeout")


class Rival:
    """
    A transaction on a separate connection, which holds a course lock that the test's command waits for.

    Its deadlock timeout is so long that PostgreSQL always aborts the other transaction.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.ready, self.over = threading.Event(), threading.Event()

    @contextmanager
    def at_work(self, act: Callable[["Rival"], object]) -> Iterator[None]:
        """Let the rival lock its course, and then call ``act``; wait for its end after the block."""

        def run() -> None:
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '60s'")
                    lock(self.course)
                    self.ready.set()
                    act(self)
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(run)
            assert self.ready.wait(timeout=60)
            try:
                yield
            finally:
                self.over.set()
                done.result(timeout=60)

    def wait_for_the_other(self) -> None:
        """Return when the other transaction waits for a lock or has ended."""
        deadline = time.monotonic() + 60
        with connection.cursor() as cursor:
            while not self.over.is_set() and time.monotonic() < deadline:
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
                )
                if cursor.fetchone()[0]:
                    return
                time.sleep(0.01)


def lock(course: Course) -> None:
    Course.objects.select_for_update(no_key=True).get(pk=course.pk)


def tries_in(queries: CaptureQueriesContext) -> int:
    return len([query for query in queries.captured_queries if "FOR NO KEY UPDATE" in query["sql"]])


def cause_deadlock(course: Course) -> Callable[[Rival], None]:
    """Let the test lock the rival's course while the rival locks the test's course."""

    def act(rival: Rival) -> None:
        rival.wait_for_the_other()
        lock(course)

    return act


def cause_deadlock_at_every_attempt(course: Course) -> Callable[[Rival], None]:
    def act(rival: Rival) -> None:
        while not rival.over.is_set():
            rival.wait_for_the_other()
            with transaction.atomic():
                lock(course)
                transaction.set_rollback(True)  # releases the lock of this course, but not of the rival's

    return act


def test_after_a_deadlock_the_transaction_is_repeated_and_applied_once():
    student, first, second = make_student(), make_course(), make_course()

    with Rival(second).at_work(cause_deadlock(first)), CaptureQueriesContext(connection) as queries:
        outcomes = enroll_many([(student.pk, first.pk), (student.pk, second.pk)], actor=ORIGIN)

    assert 1 < tries_in(queries) <= MAX_TRIES  # an early retry may meet the rival once more
    assert [outcome.changed for outcome in outcomes] == [True, True]
    assert EnrollmentEvent.objects.count() == 2


def test_after_a_serialization_failure_the_transaction_is_repeated():
    student, course = make_student(), make_course(capacity=0)

    def make_room(rival: Rival) -> None:
        rival.wait_for_the_other()
        Course.objects.filter(pk=course.pk).update(capacity=1)

    connection.ensure_connection()
    assert connection.connection is not None
    connection.connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with Rival(course).at_work(make_room), CaptureQueriesContext(connection) as queries:
            outcome = enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)
    finally:
        connection.close()

    assert (tries_in(queries), outcome.changed) == (2, True)


def test_within_a_transaction_of_the_caller_nothing_is_repeated():
    student, first, second = make_student(), make_course(), make_course()

    with (
        Rival(second).at_work(cause_deadlock(first)),
        pytest.raises(OperationalError, match="deadlock detected"),
        transaction.atomic(),
    ):
        enroll_many([(student.pk, first.pk), (student.pk, second.pk)], actor=ORIGIN)

    assert EnrollmentEvent.objects.count() == 0


def test_a_deadlock_at_every_attempt_is_reported_as_busy(make_client):
    """Completing a course locks it, and the waitlisted course of the student that requires it."""
    program = make_client("enrollments:write")
    student, asked_for, wanted = make_student(), make_course(code="BASIC"), make_course(capacity=0)
    Course.objects.filter(pk=wanted.pk).update(waitlist_capacity=1)
    enroll(student_id=student.pk, course_id=asked_for.pk, actor=ORIGIN)
    enroll(student_id=student.pk, course_id=wanted.pk, on_full=OnFull.WAITLIST, actor=ORIGIN)
    Course.objects.filter(pk=wanted.pk).update(prerequisites=["BASIC"])
    address, wish = f"/api/v1/students/{student.pk}/courses/{asked_for.pk}", {"status": "completed"}

    rival = Rival(wanted)
    with rival.at_work(cause_deadlock_at_every_attempt(asked_for)), CaptureQueriesContext(connection) as queries:
        busy = program.patch(address, wish)
    tries = tries_in(queries)
    again = program.patch(address, wish)

    assert tries == MAX_TRIES
    assert (busy.status_code, busy.json()["code"], busy["Retry-After"]) == (503, "busy", "2")
    assert (again.status_code, again.json()["status"]) == (200, "completed")
