"""Run an action in many threads at the same time, each with its own connection."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

RUNNERS = int(os.environ.get("RACE_RUNNERS", "8"))  # stress.races sets 32


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
