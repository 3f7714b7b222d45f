"""Threads that use the database at the same time, each with its own connection."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

RUNNERS = int(os.environ.get("RACE_RUNNERS", "8"))  # stress.races sets 32
PATIENCE = 10  # seconds


def race(action: Callable[[int, int], object], rounds: int, runners: int = RUNNERS) -> None:
    """Let all runners, each with its own connection, call ``action(runner, round)`` at the same time in each round."""
    start = threading.Barrier(runners)

    def run(runner: int) -> None:
        try:
            for number in range(rounds):
                start.wait(timeout=60)
                action(runner, number)
        except BaseException:
            start.abort()  # releases the runners that wait for this one
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(runners) as pool:
        runs = [pool.submit(run, runner) for runner in range(runners)]
    errors = [error for each in runs if (error := each.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error


class BackgroundCall(threading.Thread):
    """A thread with its own connection, and its result or exception."""

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__()
        self.do = do
        self.result: Any = None
        self.error: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.do()
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error
        finally:
            connection.close()


@contextmanager
def uncommitted(do: Callable[[], Any]) -> Iterator[None]:
    """Call a function on another connection, and commit it at the end of the block."""
    done, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            do()
            done.set()
            go_on.wait(timeout=60)

    holder = BackgroundCall(hold)
    try:
        assert done.wait(timeout=60), holder.error
        yield
    finally:
        go_on.set()
        holder.join()
    assert holder.error is None


def a_lock_is_waited_for() -> bool:
    """Whether a connection waits for a lock of PostgreSQL within the next seconds."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.02)
    return False
