"""
Exact request counts for rate limits, shared by all processes and machines.

A window begins with the first request and ends ``WINDOW`` seconds later; it accepts requests up to a quota. On
PostgreSQL a database function (``school_count``, in the migrations) counts in an unlogged table, in its own transaction
if none is open. From a large quota, a process reserves several requests at a time (a thousandth of the quota, at most
32) and uses them before it reserves more. So the quota is never exceeded, and requests that a process has reserved but
not used by the end of the window are not available to other processes.

SQLite allows one writer at a time, which may take minutes. There the counts are in a separate file beside the database,
so that read requests do not wait for an import.
"""

import sqlite3
import threading
import time
from typing import Any, NamedTuple

from django.db import OperationalError, connection

from school.db.compiled_queries import ON_POSTGRESQL, run_statement

WINDOW = 60  # seconds
IN_MEMORY = ":memory:"
QUOTA_PER_RESERVATION, MAX_RESERVED = 1_000, 32
BUSY_TIMEOUT = 5  # seconds to wait for another process that writes counts


class Count(NamedTuple):
    """
    The number of requests in the window, including this one, or None if this one exceeds the quota; and the seconds
    until the window ends.
    """

    taken: int | None
    seconds_left: float


def count(key: str, quota: int) -> Count:
    """Count one more request of ``key`` in its window, unless that would exceed the quota."""
    if not ON_POSTGRESQL:
        return _sqlite_counter.count(key, quota)
    share = min(quota // QUOTA_PER_RESERVATION, MAX_RESERVED)
    if share > 1:
        counted = _reserved.use(key) or _reserved.store(key, _reserve(key, quota, share), share)
        if counted is not None:
            return counted
    return _reserve(key, quota, 1)


def _reserve(key: str, quota: int, amount: int) -> Count:
    """Count ``amount`` requests together, if the window has room for all of them."""
    [row] = run_statement("SELECT taken, seconds_left FROM school_count(%s, %s, %s, %s)", [key, quota, WINDOW, amount])
    return Count(*row)


class ReservedRequests:
    """The requests that this process has reserved but not used yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The number of unused requests, the count including all reserved requests, and the end of the window.
        self._reserved_by_key: dict[str, tuple[int, int, float]] = {}

    def use(self, key: str) -> Count | None:
        """Use one reserved request; None if there is none."""
        now = time.monotonic()
        with self._lock:
            left, taken, ends = self._reserved_by_key.get(key, (0, 0, now))
            if not left or ends <= now:
                return None
            self._reserved_by_key[key] = left - 1, taken, ends
            return Count(taken - left + 1, ends - now)

    def store(self, key: str, counted: Count, amount: int) -> Count | None:
        """Store the reserved requests and use one of them; None if none were reserved."""
        if counted.taken is None:
            return None
        with self._lock:
            left, _taken, ends = self._reserved_by_key.get(key, (0, 0, 0.0))
            now = time.monotonic()
            others = left if ends > now else 0  # another thread has reserved requests in the meantime
            self._reserved_by_key[key] = others + amount - 1, counted.taken, now + counted.seconds_left
        return Count(counted.taken - amount + 1, counted.seconds_left)


def delete_ended() -> int:
    """Delete the counts of windows that have ended; return their number."""
    if ON_POSTGRESQL:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM school_counted WHERE began < clock_timestamp() - make_interval(secs => %s)", [WINDOW]
            )
            return int(cursor.rowcount)
    return _sqlite_counter.delete_ended()


class SqliteCounter:
    """The counts in an SQLite file beside the database, or in memory if the database is in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def count(self, key: str, quota: int) -> Count:
        now = time.time()
        rows = self._run(
            """
            INSERT INTO counted (who, began, taken) VALUES (:who, :now, 1)
            ON CONFLICT (who) DO UPDATE SET
                taken = CASE WHEN began <= :now - :window THEN 1 ELSE taken + 1 END,
                began = CASE WHEN began <= :now - :window THEN :now ELSE began END
            WHERE taken < :most OR began <= :now - :window
            RETURNING taken, began
            """,
            {"who": key, "now": now, "window": WINDOW, "most": quota},
        )
        for taken, began in rows:
            return Count(taken, began + WINDOW - now)
        for [began] in self._run("SELECT began FROM counted WHERE who = ?", [key]):
            return Count(None, max(began + WINDOW - now, 0))
        return self.count(key, quota)  # the window has ended, and ``delete_ended`` has deleted the row

    def delete_ended(self) -> int:
        return len(self._run("DELETE FROM counted WHERE began <= ? RETURNING who", [time.time() - WINDOW]))

    def _run(self, statement: str, parameters: Any) -> list[Any]:
        with self._lock:
            try:
                if self._file is None:
                    self._file = self._open()
                return self._file.execute(statement, parameters).fetchall()
            except sqlite3.OperationalError as error:
                raise OperationalError(*error.args) from error

    def _open(self) -> sqlite3.Connection:
        database: Any = connection
        path = IN_MEMORY if database.is_in_memory_db() else f"{database.settings_dict['NAME']}-counts"
        file = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA journal_mode = WAL")
        # No synchronous writes, because the counts need not survive a power failure.
        file.execute("PRAGMA synchronous = OFF")
        file.execute(
            "CREATE TABLE IF NOT EXISTS counted (who TEXT PRIMARY KEY, began REAL, taken INTEGER) WITHOUT ROWID"
        )
        return file


_sqlite_counter = SqliteCounter()
_reserved = ReservedRequests()
