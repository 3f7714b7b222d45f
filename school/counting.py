"""
Counting requests, exactly, whichever process and machine they come to.

A window begins with the first request and ends ``WINDOW`` seconds later; of all that come within it, so many are taken.
PostgreSQL counts by a function of its own (``school_count``, in the migrations) on a table that is not logged, in a
transaction of its own as long as none is open. Of a large quota a process draws some at a time, a thousandth and 32 at
most, and uses them up before it draws again. So never more are let through than the quota; and what a process has
drawn and does not use by the end of the window is missing to the others.

SQLite has one writer at a time, who may be at work for minutes: there the counts are in a file beside the database, so
that no reading request waits for an import.
"""

import sqlite3
import threading
import time
from typing import Any, NamedTuple

from django.db import OperationalError, connection

from school.prepared import ON_POSTGRESQL, run

WINDOW = 60  # seconds
IN_MEMORY = ":memory:"
QUOTA_PER_DRAWN, MOST_DRAWN = 1_000, 32
PATIENCE = 5  # seconds to wait for another process that counts


class Count(NamedTuple):
    """How many came in this window with this one, None where it is one too many; and how long the window lasts."""

    taken: int | None
    seconds_left: float


def count(who: str, most: int) -> Count:
    """Count one more of somebody's, if ``most`` in a window allow it."""
    if not ON_POSTGRESQL:
        return _beside.count(who, most)
    share = min(most // QUOTA_PER_DRAWN, MOST_DRAWN)
    if share > 1:
        counted = _drawn.take(who) or _drawn.keep(who, _draw(who, most, share), share)
        if counted is not None:
            return counted
    return _draw(who, most, 1)


def _draw(who: str, most: int, wanted: int) -> Count:
    """Count so many at once, if the window has room for all of them."""
    [found] = run("SELECT taken, seconds_left FROM school_count(%s, %s, %s, %s)", [who, most, WINDOW, wanted])
    return Count(*found)


class Drawn:
    """What this process has drawn and not used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, int, float]] = {}  # how many are left, the count with all of them, the end

    def take(self, who: str) -> Count | None:
        """Use one, None where there is none."""
        now = time.monotonic()
        with self._lock:
            left, taken, ends = self._kept.get(who, (0, 0, now))
            if not left or ends <= now:
                return None
            self._kept[who] = left - 1, taken, ends
            return Count(taken - left + 1, ends - now)

    def keep(self, who: str, counted: Count, wanted: int) -> Count | None:
        """Keep what was drawn, and use one of it; None where nothing was."""
        if counted.taken is None:
            return None
        with self._lock:
            left, _taken, ends = self._kept.get(who, (0, 0, 0.0))
            now = time.monotonic()
            others = left if ends > now else 0  # drawn by another thread meanwhile
            self._kept[who] = others + wanted - 1, counted.taken, now + counted.seconds_left
        return Count(counted.taken - wanted + 1, counted.seconds_left)


def clear_ended() -> int:
    """Delete the counts of windows that have ended; return how many."""
    if ON_POSTGRESQL:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM school_counted WHERE began < clock_timestamp() - make_interval(secs => %s)", [WINDOW]
            )
            return int(cursor.rowcount)
    return _beside.clear_ended()


class CountsBeside:
    """The counts in an SQLite file beside the database, or in memory where the database is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def count(self, who: str, most: int) -> Count:
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
            {"who": who, "now": now, "window": WINDOW, "most": most},
        )
        for taken, began in rows:
            return Count(taken, began + WINDOW - now)
        [[began]] = self._run("SELECT began FROM counted WHERE who = ?", [who])
        return Count(None, max(began + WINDOW - now, 0))

    def clear_ended(self) -> int:
        return len(self._run("DELETE FROM counted WHERE began <= ? RETURNING who", [time.time() - WINDOW]))

    def _run(self, statement: str, parameters: Any) -> list[Any]:
        with self._lock:
            try:
                if self._file is None:
                    self._file = self._opened()
                return self._file.execute(statement, parameters).fetchall()
            except sqlite3.OperationalError as error:
                raise OperationalError(*error.args) from error

    def _opened(self) -> sqlite3.Connection:
        database: Any = connection
        place = IN_MEMORY if database.is_in_memory_db() else f"{database.settings_dict['NAME']}-counts"
        opened = sqlite3.connect(place, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = OFF")  # counts need not survive a power failure
        opened.execute(
            "CREATE TABLE IF NOT EXISTS counted (who TEXT PRIMARY KEY, began REAL, taken INTEGER) WITHOUT ROWID"
        )
        return opened


_beside = CountsBeside()
_drawn = Drawn()
