"""Retries of transactions that the database aborted because of a deadlock, a serialization failure, or a failover."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")

MAX_TRIES = 4
RETRY_AFTER = 2  # seconds that a client should wait before a retry, if the database is busy or not reachable
BASE_DELAY = 0.02  # seconds; the longest wait is 2 times this before the first retry, then 4 and 8 times
# The SQLSTATEs serialization_failure and deadlock_detected (PostgreSQL, appendix A).
RETRYABLE_STATES = {"40001", "40P01"}
READ_ONLY_STATE = "25006"  # read_only_sql_transaction: the server is a standby, or has been demoted


def retry_transaction(transaction: Callable[P, R]) -> Callable[P, R]:
    """
    Decorate a function that is one transaction: repeat it after a deadlock or a serialization failure.

    If the server takes no writes, the function is repeated once, on a new connection. After the last try, and for any
    other error, raise the database's error. Inside a transaction of the caller there is only one try, because the
    earlier statements of that transaction are lost too and cannot be repeated here.
    """

    @wraps(transaction)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        tries = 1 if connection.in_atomic_block else MAX_TRIES
        for attempt in range(1, tries):
            try:
                return transaction(*args, **kwargs)
            except OperationalError as error:
                state = getattr(error.__cause__, "sqlstate", None)
                if state == READ_ONLY_STATE:
                    connection.close()
                    break
                if state not in RETRYABLE_STATES:
                    raise
            time.sleep(random.uniform(0, BASE_DELAY * 2**attempt))  # noqa: S311  # no secret depends on it
        return transaction(*args, **kwargs)

    return wrapper
