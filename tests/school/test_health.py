"""What load balancers, restarters and the night watch are told."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from bulk.jobs.heartbeat import RETENTION, TIMEOUT, Heartbeat
from bulk.jobs.leases import claim
from bulk.jobs.worker import run_worker
from bulk.models import Import, ImportChannel, Progress, Worker
from school.db import migrated
from tests.bulk.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch):
    monkeypatch.setattr(migrated, "_migrated", [])


def asked(client, path):
    answer = client.get(path)
    return answer.status_code, answer.json(), answer.get("Retry-After")


WELL = (200, {"status": "ok", "database": "ok", "migrations": "ok", "worker": "ok"}, None)
LONELY = (503, {"status": "not ready", "database": "ok", "migrations": "ok", "worker": "none"}, "2")


def test_a_process_that_answers_is_alive(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert asked(client, "/health/live") == (200, {"status": "ok"}, None)


def test_without_a_worker_it_is_not_ready(client):
    assert asked(client, "/health/ready") == LONELY


def test_a_worker_that_was_heard_of_lately_makes_it_ready(client):
    Heartbeat().send()

    assert asked(client, "/health/ready") == WELL


def test_a_worker_that_is_silent_is_not_counted_on(client):
    Heartbeat().send()
    Worker.objects.update(seen_at=timezone.now() - TIMEOUT - timedelta(seconds=1))

    assert asked(client, "/health/ready") == LONELY


def test_a_worker_that_works_on_an_import_need_not_say_more(client):
    job = Import.objects.create(kind="students", door=ImportChannel.API, request_id="r")
    Progress.objects.create(file_import=job, at=timezone.now() - TIMEOUT * 2)
    assert asked(client, "/health/ready") == LONELY

    assert claim(job.pk) is not None

    assert asked(client, "/health/ready") == WELL


def test_a_worker_that_ends_is_gone_at_once(client):
    work()

    assert (Worker.objects.count(), asked(client, "/health/ready")) == (0, LONELY)


def test_a_worker_gives_its_pulse_while_it_looks_for_work(client):
    seen = []

    def is_wanted():
        seen.append(Worker.objects.count())
        return len(seen) < 2

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bulk.jobs.worker.close_old_connections", lambda: None)
        patched.setattr("bulk.jobs.worker._run_tasks", lambda: None)
        patched.setattr("bulk.jobs.worker.POLL_INTERVAL", 0)
        run_worker(keep_running=is_wanted)

    assert seen == [0, 1]


def test_who_was_silent_for_a_day_is_forgotten():
    Worker.objects.create(name="old:1", seen_at=timezone.now() - RETENTION - timedelta(minutes=1))

    Heartbeat().send()

    assert [worker.name for worker in Worker.objects.all()] == [Heartbeat().name]


def test_an_unapplied_migration_is_told_of(client):
    Heartbeat().send()
    [newest] = MigrationLoader(connection).graph.leaf_nodes("bulk")
    MigrationRecorder(connection).record_unapplied(*newest)

    status, body, _wait = asked(client, "/health/ready")

    assert (status, body["migrations"], body["worker"]) == (503, "unapplied", "unknown")
