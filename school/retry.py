"""Trying again what the database ended because two transactions were in each other's way."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 4
PAUSE = 0.02  # seconds before the second try, at most; twice that before each further one
IN_THE_WAY = {"40001", "40P01"}  # serialization_failure, deadlock_detected (PostgreSQL, appendix A)


def retried(transaction: Callable[P, R]) -> Callable[P, R]:
    """
    Run a function that is one transaction, and run it again where a deadlock or a serialization failure ended it.

    After the last try, and for any other error, raise what the database said. Within a transaction of the caller's
    there is one try only: what came before it is lost too.
    """

    @wraps(transaction)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        tries = 1 if connection.in_atomic_block else TRIES
        for number in range(1, tries):
            try:
                return transaction(*args, **kwargs)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) not in IN_THE_WAY:
                    raise
            time.sleep(random.uniform(0, PAUSE * 2**number))  # noqa: S311  # no secret depends on it
        return transaction(*args, **kwargs)

    return run
