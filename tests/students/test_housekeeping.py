"""Workers do the regular work when it is due, one of them, and again after a failure."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone
from oauth2_provider.models import AccessToken

from bulk.jobs.periodic_tasks import RETRY_INTERVAL, PeriodicTasks, next_due
from school.models import CachedValue
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, Status, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

EVERY_HOUR = timedelta(hours=1)
runs: list[str] = []


def succeed():
    runs.append("run")
    yield "one step"


def fail():
    runs.append("run")
    yield "one step"
    raise RuntimeError("it broke")


@pytest.fixture(autouse=True)
def no_runs():
    runs.clear()


def tasks(settings, function, interval=EVERY_HOUR):
    settings.PERIODIC_TASKS = {"task": (f"{__name__}.{function.__name__}", interval)}


def poll():
    """Let a new worker look for due tasks once; return the number of its steps."""
    steps: list[None] = []
    PeriodicTasks().run_due(lambda: steps.append(None))
    return len(steps)


def due_in():
    task = CachedValue.objects.exclude(expires_at=None).get()
    assert task.expires_at is not None
    return task.expires_at - timezone.now()


def make_due():
    CachedValue.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def open_waitlist():
    """Return a waitlisted enrollment in a course that has got a seat while nobody promoted anybody."""
    course = make_course(capacity=0, waitlist_capacity=1)
    student = make_student()
    actor = ActorContext(Channel.SYSTEM)
    enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    type(course).objects.filter(pk=course.pk).update(capacity=1)
    return StudentCourse.objects.get(student=student)


def test_a_new_task_becomes_due_later(settings):
    tasks(settings, succeed)

    assert (poll(), runs) == (0, [])
    assert due_in() > EVERY_HOUR - timedelta(minutes=1)


def test_a_due_task_is_run_by_one_worker(settings):
    tasks(settings, succeed)
    poll()
    make_due()

    assert [poll(), poll()] == [1, 0]
    assert runs == ["run"]
    assert due_in() > EVERY_HOUR - timedelta(minutes=1)


def test_a_worker_looks_into_the_database_twice_a_minute(settings, django_assert_num_queries):
    tasks(settings, succeed)
    worker = PeriodicTasks()
    worker.run_due(lambda: None)

    with django_assert_num_queries(0):
        worker.run_due(lambda: None)


def test_a_task_that_fails_is_repeated_and_does_not_end_the_worker(settings):
    tasks(settings, fail, timedelta(days=7))
    poll()
    make_due()

    assert (poll(), runs) == (1, ["run"])
    assert timedelta(0) < due_in() <= RETRY_INTERVAL
    make_due()
    assert (poll(), runs) == (1, ["run", "run"])


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 9, 1, 1, 30, tzinfo=UTC), datetime(2026, 9, 1, 2, tzinfo=UTC)),
        (datetime(2026, 9, 1, 2, 0, tzinfo=UTC), datetime(2026, 9, 2, 2, tzinfo=UTC)),
        (datetime(2026, 12, 1, 12, 0, tzinfo=UTC), datetime(2026, 12, 2, 3, tzinfo=UTC)),
    ],
)
def test_daily_work_is_due_at_its_hour_in_the_time_zone(settings, now, due):
    settings.HOUSEKEEPING_HOUR, settings.TIME_ZONE = 4, "Europe/Berlin"

    assert next_due(None, now) == due


def test_workers_give_away_seats_and_delete_what_has_expired():
    waiting = open_waitlist()
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(days=1))
    AccessToken.objects.create(token="old", scope="", expires=timezone.now() - timedelta(days=1))
    poll()
    make_due()

    assert poll() > 2

    waiting.refresh_from_db()
    assert (waiting.status, Session.objects.count(), AccessToken.objects.count()) == (Status.ENROLLED, 0, 0)
    assert EnrollmentEvent.objects.order_by("-pk")[0].channel == Channel.SYSTEM


def test_the_command_does_the_same_and_says_it():
    waiting = open_waitlist()
    output = io.StringIO()

    call_command("housekeeping", stdout=output)

    waiting.refresh_from_db()
    lines = output.getvalue().splitlines()
    assert waiting.status == Status.ENROLLED
    assert (lines[0], lines[-2]) == ("1 waitlisted students have a seat now.", "0 attempts of webhooks.")
    assert lines[-1] == "0 secrets of webhooks encrypted with the current SECRET_KEY."
