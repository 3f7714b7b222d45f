"""
Background imports: the task for each import, and the worker that runs the tasks.

The queue runs a task once, and never again if the task was killed or has failed. So the worker also looks for abandoned
imports, and continues them from their checkpoint.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils.crypto import get_random_string
from django.utils.module_loading import import_string
from django_tasks import task
from django_tasks_db.management.commands.db_worker import Worker

from bulk.jobs.heartbeat import Heartbeat
from bulk.jobs.leases import abandoned_import_ids
from bulk.jobs.processing import process_import
from bulk.models import Import

logger = structlog.get_logger(__name__)

POLL_INTERVAL = 1.0  # seconds between two polls for work


@task()
def process_import_task(import_id: int) -> None:
    """Work on an import until it ends or waits for approval."""
    _process(import_id)


def enqueue(job: Import) -> None:
    """Enqueue an import for a worker, which takes it after the current transaction is committed."""
    process_import_task.enqueue(job.pk)


def run_worker(*, keep_running: Callable[[], bool], once: bool = False) -> None:
    """
    Work on queued and abandoned imports, and call ``WORKER_TASKS``, while ``keep_running`` returns True.

    With ``once``, do so in a single pass.
    """
    heartbeat = Heartbeat()
    while keep_running():
        try:
            heartbeat.send()
            _run_tasks()
            for import_id in abandoned_import_ids():
                if keep_running():
                    _process(import_id)
            for path in settings.WORKER_TASKS:
                _run(path)
        except (OperationalError, InterfaceError) as error:
            # The database is busy or unavailable: try again at the next poll.
            logger.warning("worker_waits", exception_type=type(error).__name__)
        close_old_connections()
        if once:
            break
        time.sleep(POLL_INTERVAL)
    with suppress(OperationalError, InterfaceError):  # the heartbeat expires by itself
        heartbeat.stop()


def _run_tasks() -> None:
    """Run the tasks that are ready."""
    Worker(
        queue_names=["default"],
        interval=0,
        batch=True,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id=get_random_string(32),
        excluded_queue_names=[],
    ).run()


def _run(path: str) -> None:
    """Call a function of another app. The worker calls it again after the next poll."""
    try:
        import_string(path)()
    except (OperationalError, InterfaceError):
        raise
    except Exception as failure:  # an error of another app must not end the worker
        logger.error("worker_task_failed", task=path, exc_info=failure)


def _process(import_id: int) -> None:
    """Work on an import. After an error another attempt follows; after the last attempt the import has failed."""
    try:
        process_import(import_id)
    except Exception as error:  # an error of one import must not end the worker
        logger.error("import_interrupted", import_id=import_id, exc_info=error)
