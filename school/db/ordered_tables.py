"""
Tables that are read in the order of their ids, so that a reader misses no row.

PostgreSQL assigns an id when a row is inserted and makes the row visible when its transaction commits, so a higher id
may become visible before a lower one. Before a writer takes its first id, it therefore sets a marker: an advisory lock
with the last id assigned so far. ``safe_watermark`` is the id up to which all rows are visible, because no writer can
still add one there.

A standby has no locks of writers, and shows commits of its primary that a failover may still undo: it has no watermark.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import OperationalError, connection

from school.db.compiled_queries import ON_POSTGRESQL, BoundStatement, run_statements

LAST_ID = "last_value - CASE WHEN is_called THEN 0 ELSE 1 END"
LOWEST_MARKER = (
    "SELECT pg_is_in_recovery(), min((classid::bigint & 65535) << 32 | objid::bigint) FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = %s AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def marker_sql(sequence: str, marker_class: int) -> str:
    """
    Return the SQL that sets a marker, until the end of the transaction. Then the rows of the transaction are visible.

    The upper 16 of the 64 bits of an advisory lock's key are the class of a marker, the others contain the id.
    """
    return f"SELECT pg_advisory_xact_lock_shared({marker_class << 48} + {LAST_ID}) FROM {sequence}"  # noqa: S608  # only the name of a sequence


class OrderedTable:
    """
    A table whose writers set a marker, by the sequence of its ids and the class of its markers.

    No other advisory lock of School may have the class in its upper 16 bits.
    """

    def __init__(self, sequence: str, marker_class: int) -> None:
        self.sequence, self.marker_class = sequence, marker_class
        self._watermarks: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # by connection, the highest known

    @cached_property
    def set_marker(self) -> BoundStatement:
        """The statement that a writer runs before it takes an id, if no trigger of the table does."""
        return marker_sql(self.sequence, self.marker_class), []

    @cached_property
    def watermark_queries(self) -> list[BoundStatement]:
        return [(f"SELECT {LAST_ID} FROM {self.sequence}", []), (LOWEST_MARKER, [self.marker_class])]  # noqa: S608  # only the name of a sequence

    def safe_watermark(self) -> int | None:
        """
        Return the id up to which the table is complete for all later queries; None (on SQLite) if it always is.

        Raise ``OperationalError`` on a standby.

        The order of the two queries matters: an id assigned before the first query belongs to a writer that had set its
        marker. Either the second query still sees the lock of that writer, or the rows of that writer are visible to
        the next query. The connection's own markers are ignored. SQLite has one writer at a time and assigns ids in the
        order of commits.
        """
        if not ON_POSTGRESQL:
            return None
        return self.watermark_from(run_statements(self.watermark_queries))

    def watermark_from(self, answers: Sequence[list[Any]]) -> int:
        """
        Return the watermark computed from the results of ``watermark_queries``, and store it for the connection.

        Raise ``OperationalError`` on a standby.
        """
        [(last_id,)], [(is_standby, lowest_marker)] = answers
        if is_standby:
            raise OperationalError("The server is a standby.")
        watermark: int = last_id if lowest_marker is None else min(last_id, lowest_marker)
        if not settings.POOLER:
            self._watermarks[connection.connection] = max(watermark, self.cached_watermark())
        return watermark

    def cached_watermark(self) -> int:
        """
        Return the highest watermark computed on this connection, 0 if there is none.

        A watermark stays valid as long as the database is the same. It is stored per connection, because a database
        server that was restored or replaced gets new connections. A connection to a pooler may outlive the database, so
        nothing is stored for it.
        """
        return self._watermarks.get(connection.connection, 0) if connection.connection else 0
