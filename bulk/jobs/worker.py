"""
The worker: processes the imports that wait, and runs the periodic tasks.

The imports are the queue. An import that was abandoned waits like a new one, and is continued from its checkpoint.
``BACKGROUND_TASKS`` of the settings names the functions of the apps that run in threads beside, as long as the worker.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils.module_loading import import_string

from bulk.jobs.leases import waiting_import_ids
from bulk.jobs.periodic_tasks import PeriodicTasks, run_frequent
from bulk.jobs.processing import process_import
from bulk.jobs.worker_heartbeats import Heartbeat

logger = structlog.get_logger(__name__)

POLL_INTERVAL = 1.0  # seconds between two polls for work


def run_worker(*, keep_running: Callable[[], bool], once: bool = False) -> None:
    """
    Work on the imports that wait, and run the periodic tasks, while ``keep_running`` returns True.

    With ``once``, do so in a single pass, only with the background tasks and those that run after each poll.
    """
    if once:
        _work(keep_running=keep_running, once=True)
        for path in settings.BACKGROUND_TASKS:
            import_string(path)(keep_running=keep_running, once=True)
    else:
        with _background_tasks():
            _work(keep_running=keep_running, once=False)


@contextmanager
def _background_tasks() -> Iterator[None]:
    """Run the background tasks in threads during the block, and wait for their end after it."""
    stopped = threading.Event()

    def run(path: str) -> None:
        try:
            import_string(path)(keep_running=lambda: not stopped.is_set())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[path], daemon=True) for path in settings.BACKGROUND_TASKS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _work(*, keep_running: Callable[[], bool], once: bool) -> None:
    heartbeat, periodic_tasks = Heartbeat(), PeriodicTasks()
    while keep_running():
        try:
            heartbeat.send()
            for import_id in waiting_import_ids():
                if keep_running():
                    _process(import_id)
            run_frequent()
            if not once:
                periodic_tasks.run_due(heartbeat.send)
        except (OperationalError, InterfaceError) as error:
            # If the database is busy or not reachable, try again at the next poll.
            logger.warning("worker_waits", exception_type=type(error).__name__)
        close_old_connections()
        if once:
            break
        time.sleep(POLL_INTERVAL)
    with suppress(OperationalError, InterfaceError):  # the heartbeat expires anyway
        heartbeat.stop()


def _process(import_id: int) -> None:
    """Work on an import. After an error another attempt follows; after the last attempt the import has failed."""
    try:
        process_import(import_id)
    except Exception as error:  # an error of one import must not end the worker
        logger.error("import_interrupted", import_id=import_id, exc_info=error)
