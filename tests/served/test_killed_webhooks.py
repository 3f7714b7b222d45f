"""
Workers that are killed at random moments deliver every change, in order, while the receiver fails at random.

``KILLS``, ``KILLED_ACTS`` and ``HANGING_ANSWERS`` make a long test of it. After a hanging answer, an attempt ends by
its time limit.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from itertools import pairwise

import pytest
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from students.enrollment import enroll_many
from students.enrollment.actor_context import ActorContext
from students.models import Channel, EnrollmentEvent, Student
from tests.support.factories import make_course
from tests.support.receiver import OK, receiving, status
from tests.support.separate_databases import SeparateDatabases
from tests.support.serving import ROOT, environment_of
from webhooks.endpoints import register, rotate
from webhooks.models import Endpoint
from webhooks.sender import ANSWER_SECONDS

KILLS = int(os.environ.get("KILLS", "4"))
ACTS = int(os.environ.get("KILLED_ACTS", "400"))
HANGING_ANSWERS = int(os.environ.get("HANGING_ANSWERS", "0"))
HANGING_SECONDS = ANSWER_SECONDS + 1
BATCH = 50
SLOWEST = 50  # acts that are delivered in a second, at least

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(tmp_path, settings):
    """A database of its own, which this thread uses too, and the environment of its workers."""
    settings.WEBHOOK_HTTP, settings.WEBHOOK_ALLOWED_NETWORKS = True, [ip_network("127.0.0.0/8")]
    databases = SeparateDatabases(tmp_path)
    name = databases.migrated()
    try:
        with databases.use(name):
            yield environment_of(
                databases.url(name), WEBHOOK_HTTP="true", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8", HTTPS="false"
            )
    finally:
        if connection.vendor == "postgresql":
            databases.drop()


def start_worker(environment):
    return subprocess.Popen([sys.executable, "manage.py", "work"], cwd=ROOT, env=environment)


@contextmanager
def working(environment):
    worker = start_worker(environment)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()


def enroll_all(times, between=lambda: None):
    """Enroll this many students in a course each, in batches."""
    course, first = make_course(), Student.objects.count()
    students = Student.objects.bulk_create(
        Student(student_number=f"S-{first + n}", given_name="Ada", family_name="Byron") for n in range(times)
    )
    actor = ActorContext(Channel.SYSTEM)
    for start in range(0, times, BATCH):
        enroll_many([(each.pk, course.pk) for each in students[start : start + BATCH]], actor=actor)
        between()


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ids_in_journal():
    return list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))


def without_repetitions(numbers):
    return list(dict.fromkeys(numbers))


def is_verified(request, secret):
    with suppress(WebhookVerificationError):
        Webhook(secret).verify(request.body, request.headers)
        return True
    return False


def test_killed_workers_and_a_failing_receiver_lose_nothing(environment):
    dice = random.Random(ACTS)
    hanging, verified = 0, []

    def answer(request, _connection):
        nonlocal hanging
        # Verified on arrival, because a signature is valid for five minutes.
        verified.append(is_verified(request, secrets[0]))
        if hanging < HANGING_ANSWERS and len(receiver.requests) > (hanging + 1) * ACTS / (HANGING_ANSWERS + 1):
            hanging += 1
            time.sleep(HANGING_SECONDS)
            return None
        chance = dice.random()
        if chance < 0.02:
            return status(500)
        return None if chance < 0.03 else OK

    with receiving(answer) as receiver:
        endpoint = Endpoint(url=receiver.url, kinds=["enrollments"])
        secrets = [register(endpoint)]
        worker, killed = start_worker(environment), 0

        def kill_at_random():
            nonlocal worker, killed
            Endpoint.objects.update(next_attempt_at=timezone.now())  # the schedule is not what this test is about
            if killed < KILLS and dice.random() < 2 * KILLS * BATCH / ACTS:
                time.sleep(dice.uniform(0, 1.5))
                worker.kill()
                worker.wait()
                killed += 1
                worker = start_worker(environment)
            if killed == KILLS // 2 and len(secrets) == 1:
                secrets.append(rotate(endpoint.pk))

        try:
            enroll_all(ACTS, kill_at_random)
            while killed < KILLS:
                time.sleep(dice.uniform(2, 4))
                kill_at_random()
            journal = ids_in_journal()

            def is_complete():
                Endpoint.objects.update(next_attempt_at=timezone.now())
                return any(each.message["data"]["id"] == journal[-1] for each in receiver.requests[-1_000:])

            wait_until(is_complete, seconds=120 + ACTS / SLOWEST + HANGING_ANSWERS * HANGING_SECONDS)
        finally:
            worker.terminate()
            worker.wait()

    ids = [message["data"]["id"] for message in receiver.messages]
    assert (killed, hanging, without_repetitions(ids)) == (KILLS, HANGING_ANSWERS, journal)
    assert len(set(receiver.ids)) == len(journal)
    assert {(each.headers["webhook-id"], each.message["data"]["id"]) for each in receiver.requests} == set(
        zip(without_repetitions(receiver.ids), journal, strict=True)
    )
    assert (set(verified), is_verified(receiver.requests[-1], secrets[1])) == ({True}, True)
    # A repetition begins at an earlier message, and goes on in order from there.
    places = {journal_id: place for place, journal_id in enumerate(journal)}
    assert all(places[later] <= places[earlier] + 1 for earlier, later in pairwise(ids))


def test_a_slow_endpoint_does_not_slow_the_others(environment):
    with receiving(lambda *_: time.sleep(10)) as slow, receiving() as fast:
        for receiver in (*[slow] * 10, fast):
            register(Endpoint(url=receiver.url, kinds=["enrollments"]))
        with working(environment):
            enroll_all(BATCH)
            wait_until(lambda: len(fast.requests) == BATCH, seconds=60)
        assert [message["data"]["id"] for message in fast.messages] == ids_in_journal()


def test_a_worker_delivers_thousands_of_entries_once_and_in_order(environment):
    number = 3_000
    with receiving() as receiver:
        register(Endpoint(url=receiver.url, kinds=["enrollments"]))
        enroll_all(number)
        with working(environment):
            wait_until(lambda: len(receiver.requests) >= number)
    assert [message["data"]["id"] for message in receiver.messages] == ids_in_journal()
