"""SQLite backend that lets only one writer at a time wait for SQLite's lock; all others wait for a lock on a file."""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from school.db.sqlite.schema import DatabaseSchemaEditor

RETRY_INTERVAL = 0.01  # the maximum number of seconds between two attempts to get the lock
TEMPORARY_DATABASE = "file:"  # a URI without a path means a temporary database, which no other connection sees


def unicode_upper(text: str | None) -> str | None:
    """Return a text in upper case as PostgreSQL's ``upper`` does: letter by letter, and no letter becomes two."""
    if text is None or text.isascii():
        return text and text.upper()
    return "".join(upper if len(upper := each.upper()) == 1 else each for each in text)


class DatabaseWrapper(base.DatabaseWrapper):
    """
    Lets one writer at a time wait for SQLite's lock. All other writers wait for their turn, a lock on a file.

    SQLite itself tries to get its lock ten times a second, and a writer that has just released the lock and needs it
    again gets it first: of sixteen writers that are always busy, one could wait for more than 20 seconds. With turns, a
    writer that has released the lock cannot get it again before the writer that has the turn.
    """

    SchemaEditorClass = DatabaseSchemaEditor

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.create_function("unicode_upper", 1, unicode_upper, deterministic=True)
        return connection

    def _start_transaction_under_autocommit(self) -> None:
        seconds = self.settings_dict["OPTIONS"].get("timeout", 5)
        deadline = time.monotonic() + seconds
        is_private = self.is_in_memory_db() or self.settings_dict["NAME"] == TEMPORARY_DATABASE
        with nullcontext() if is_private else self._writer_lock(deadline):
            self._set_busy_timeout(max(deadline - time.monotonic(), 0))
            try:
                super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
            finally:
                self._set_busy_timeout(seconds)

    @contextmanager
    def _writer_lock(self, deadline: float) -> Iterator[None]:
        """Hold the turn: a lock on a file beside the database, which the system releases if the process dies."""
        file = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise OperationalError("database is locked") from None
                time.sleep(random.uniform(0, RETRY_INTERVAL))  # noqa: S311  # no secret depends on it
            yield
        finally:
            os.close(file)

    def _set_busy_timeout(self, seconds: float) -> None:
        """Set how many seconds SQLite itself waits for a lock."""
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
