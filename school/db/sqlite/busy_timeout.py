"""Sets how long SQLite itself waits for a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def fail_if_busy(connection: Any) -> Any:
    """Let a statement fail immediately while another SQLite writer is active. Other databases have several writers."""
    return limit_busy_wait(connection, 0)


@contextmanager
def limit_busy_wait(connection: Any, seconds: float | None) -> Iterator[None]:
    """Let a statement wait at most ``seconds`` for another SQLite writer; None changes nothing."""
    if connection.vendor != "sqlite" or seconds is None:
        yield
        return
    connection.ensure_connection()
    [milliseconds] = connection.connection.execute("PRAGMA busy_timeout").fetchone()
    connection.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        connection.connection.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")
