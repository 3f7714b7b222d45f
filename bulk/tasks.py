"""
Imports in the background: a task for each, and the worker that runs them.

The queue runs a task once and forgets one that was killed. So the worker also looks for imports that were left behind,
and goes on with them from their checkpoint.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from django.db import DatabaseError, OperationalError, close_old_connections
from django.utils.crypto import get_random_string
from django_tasks import task
from django_tasks_db.management.commands.db_worker import Worker

from bulk.leases import orphans
from bulk.models import Import
from bulk.pulse import Pulse
from bulk.working import work_on

logger = structlog.get_logger(__name__)

INTERVAL = 1.0  # seconds between two looks for work


@task()
def work_on_import(import_id: int) -> None:
    """Take an import as far as it goes."""
    _work_on(import_id)


def hand_over(job: Import) -> None:
    """Let a worker take an import on, as soon as the current transaction is committed."""
    work_on_import.enqueue(job.pk)


def run_worker(*, is_wanted: Callable[[], bool], once: bool = False) -> None:
    """Work on what is handed over and on what was left behind, as long as it ``is_wanted``; ``once``: until all is."""
    pulse = Pulse()
    while is_wanted():
        try:
            pulse.give()
            _run_tasks()
            for import_id in orphans():
                if is_wanted():
                    _work_on(import_id)
        except OperationalError as error:
            # Busy, or away for a moment: the next look may find it back.
            logger.warning("worker_waits", exception_type=type(error).__name__)
        close_old_connections()
        if once:
            break
        time.sleep(INTERVAL)
    with suppress(OperationalError):  # then its silence tells
        pulse.stop()


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


def _work_on(import_id: int) -> None:
    """Work on an import; what the database gives up over is tried again, by whoever looks next."""
    try:
        work_on(import_id)
    except DatabaseError as error:
        logger.warning("import_interrupted", import_id=import_id, exception_type=type(error).__name__)
