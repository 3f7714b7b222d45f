"""
Periodic tasks, which workers run without a crontab: ``PERIODIC_TASKS`` of the settings names the functions of the apps.

Each has an interval; None means daily. A task with the interval 0 is run by each worker after each poll for imports.
For the others, the database has the time at which each is due, so that of several workers one runs it. A worker that is
killed leaves the task to be repeated an hour later.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from school.models import CachedValue

logger = structlog.get_logger(__name__)

EACH_POLL = timedelta(0)
RETRY_INTERVAL = timedelta(hours=1)  # the time to the next attempt after a failure
POLL_INTERVAL = timedelta(seconds=30)  # the time between two looks into the database


def run_frequent() -> None:
    """Run the tasks with the interval 0. An error is logged, unless the database is busy or not reachable."""
    for name, (path, interval) in settings.PERIODIC_TASKS.items():
        if interval == EACH_POLL:
            try:
                import_string(path)()
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # an error of one task must not end the worker
                logger.error("periodic_task_failed", task=name, exc_info=error)


class PeriodicTasks:
    """The less frequent periodic tasks as a worker sees them."""

    def __init__(self) -> None:
        self.next_poll = timezone.now()

    def run_due(self, after_step: Callable[[], object]) -> None:
        """
        Run the tasks that are due. The error of a task is logged, not raised.

        A task is an iterator that yields a description of each of its steps; ``after_step`` is called after each.
        """
        now = timezone.now()
        if now < self.next_poll:
            return
        self.next_poll = now + POLL_INTERVAL
        for name, (path, interval) in settings.PERIODIC_TASKS.items():
            if interval != EACH_POLL and _claim(name, interval, now):
                try:
                    steps = []
                    for step in import_string(path)():
                        steps.append(step)
                        after_step()
                except Exception as error:  # an error of one task must not end the worker
                    logger.error("periodic_task_failed", task=name, exc_info=error)
                else:
                    CachedValue.objects.filter(key=_key(name)).update(expires_at=next_due(interval, timezone.now()))
                    logger.info("periodic_task_finished", task=name, steps=steps)


def next_due(interval: timedelta | None, now: datetime) -> datetime:
    """Return the time at which a task is due again; without an interval, the next hour of the housekeeping."""
    if interval is not None:
        return now + interval
    due = timezone.localtime(now).replace(hour=settings.HOUSEKEEPING_HOUR, minute=0, second=0, microsecond=0)
    return due if due > now else due + timedelta(days=1)


@transaction.atomic
def _claim(name: str, interval: timedelta | None, now: datetime) -> bool:
    """Return True if the task is due and no other worker has taken it. A task that is new becomes due later."""
    task = CachedValue.objects.select_for_update().filter(key=_key(name)).first()
    if task is None or task.expires_at is None:
        CachedValue.objects.get_or_create(key=_key(name), defaults={"expires_at": next_due(interval, now)})
        return False
    if task.expires_at > now:
        return False
    task.expires_at = now + RETRY_INTERVAL
    task.save(update_fields=["expires_at"])
    return True


def _key(name: str) -> str:
    return f"periodic:{name}"
