"""Sets how long SQLite itself waits for a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def fail_if_busy(connection: Any) -> Iterator[None]:
    """Let a statement fail immediately while another SQLite writer is active. Other databases have several writers."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    [milliseconds] = connection.connection.execute("PRAGMA busy_timeout").fetchone()
    connection.connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.connection.execute(f"PRAGMA busy_timeout = {int(milliseconds)}")
