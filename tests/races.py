"""Races: many at once, each on a connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

RUNNERS = 32


def race(act: Callable[[int, int], object], rounds: int, runners: int = RUNNERS) -> None:
    """Let every runner, on a connection of its own, call ``act(runner, round)`` in each round at the same instant."""
    start = threading.Barrier(runners)

    def run(runner: int) -> None:
        try:
            for number in range(rounds):
                start.wait(timeout=60)
                act(runner, number)
        except BaseException:
            start.abort()  # nobody waits for who does not come
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(runners) as pool:
        runs = [pool.submit(run, runner) for runner in range(runners)]
    errors = [error for each in runs if (error := each.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
