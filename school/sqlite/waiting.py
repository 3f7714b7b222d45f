"""How long SQLite itself waits for a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def impatient(connection: Any) -> Iterator[None]:
    """Let a statement fail at once where SQLite's one writer is at work. Other databases have many: nothing to do."""
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
