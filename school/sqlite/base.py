"""Django's SQLite, where writers take turns."""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db import OperationalError
from django.db.backends.sqlite3 import base

PAUSE = 0.01  # seconds between two looks, at most


class DatabaseWrapper(base.DatabaseWrapper):
    """
    Lets one writer at a time wait for SQLite's lock, and all others wait for their turn to do so.

    SQLite's own waiting is a look ten times a second, and who has just let go of the lock and wants it again is there
    first: of sixteen writers who are always busy one could wait for more than 20 seconds. Who has to wait for a turn
    before cannot come back to the lock before who had the turn.
    """

    def _start_transaction_under_autocommit(self) -> None:
        seconds = self.settings_dict["OPTIONS"].get("timeout", 5)
        deadline = time.monotonic() + seconds
        with nullcontext() if self.is_in_memory_db() else self._turn(deadline):
            self._let_sqlite_wait(max(deadline - time.monotonic(), 0))
            try:
                super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
            finally:
                self._let_sqlite_wait(seconds)

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """Have the turn: a lock on a file beside the database, which the system takes back from a process that dies."""
        file = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise OperationalError("database is locked") from None
                time.sleep(random.uniform(0, PAUSE))  # noqa: S311  # no secret depends on it
            yield
        finally:
            os.close(file)

    def _let_sqlite_wait(self, seconds: float) -> None:
        """Set how long SQLite itself waits for a lock."""
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
