"""Health checks for load balancers, process supervisors and monitoring."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from bulk.jobs.leases import claim
from bulk.jobs.worker import run_worker
from bulk.jobs.worker_heartbeats import RETENTION, TIMEOUT, Heartbeat
from bulk.models import Import, ImportChannel, Progress, Worker
from school.db import migration_check
from tests.support.imports import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clear_migration_cache(monkeypatch):
    monkeypatch.setattr(migration_check, "_migrated", [])


def health_of(client, path):
    answer = client.get(path)
    return answer.status_code, answer.json(), answer.get("Retry-After")


READY = (200, {"status": "ok", "database": "ok", "migrations": "ok", "worker": "ok"}, None)
WITHOUT_WORKER = (503, {"status": "not ready", "database": "ok", "migrations": "ok", "worker": "none"}, "2")


def test_a_running_process_is_live(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert health_of(client, "/health/live") == (200, {"status": "ok"}, None)


def test_the_server_is_not_ready_without_a_worker(client):
    assert health_of(client, "/health/ready") == WITHOUT_WORKER


def test_the_server_is_ready_with_a_recent_worker_heartbeat(client):
    Heartbeat().send()

    assert health_of(client, "/health/ready") == READY


def test_a_worker_without_a_recent_heartbeat_is_ignored(client):
    Heartbeat().send()
    Worker.objects.update(seen_at=timezone.now() - TIMEOUT - timedelta(seconds=1))

    assert health_of(client, "/health/ready") == WITHOUT_WORKER


def test_a_worker_that_processes_an_import_needs_no_other_heartbeat(client):
    job = Import.objects.create(kind="students", door=ImportChannel.API, request_id="r")
    Progress.objects.create(file_import=job, at=timezone.now() - TIMEOUT * 2)
    assert health_of(client, "/health/ready") == WITHOUT_WORKER

    assert claim(job.pk) is not None

    assert health_of(client, "/health/ready") == READY


def test_a_worker_that_stops_is_removed_immediately(client):
    work()

    assert (Worker.objects.count(), health_of(client, "/health/ready")) == (0, WITHOUT_WORKER)


def test_a_worker_sends_heartbeats_while_it_polls_for_work(client):
    seen = []

    def is_wanted():
        seen.append(Worker.objects.count())
        return len(seen) < 2

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bulk.jobs.worker.close_old_connections", lambda: None)
        patched.setattr("bulk.jobs.worker.POLL_INTERVAL", 0)
        run_worker(keep_running=is_wanted)

    assert seen == [0, 1]


def test_a_heartbeat_older_than_a_day_is_deleted():
    Worker.objects.create(name="old:1", seen_at=timezone.now() - RETENTION - timedelta(minutes=1))

    Heartbeat().send()

    assert [worker.name for worker in Worker.objects.all()] == [Heartbeat().name]


@pytest.mark.parametrize(
    "name", [("webhooks", "0001_initial"), ("bulk", "0010_forget_task_queue_permissions")], ids="-".join
)
def test_an_unapplied_migration_is_reported(client, name):
    Heartbeat().send()
    MigrationRecorder(connection).record_unapplied(*name)

    status, body, _wait = health_of(client, "/health/ready")

    assert (status, body["migrations"], body["worker"]) == (503, "unapplied", "unknown")
