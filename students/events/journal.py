"""
The journal: an append-only entry for every change of an enrollment, ordered so that a reader misses none.

Entries are read in the order of their ids. PostgreSQL assigns an id when a row is inserted and makes the row visible
when its transaction commits, so a higher id may become visible before a lower one. Before a writer takes its first id,
it therefore sets a marker: an advisory lock with the last id assigned so far. ``safe_watermark`` is the id up to which
all entries are visible, because no writer can still add one there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connection

from school.db.bulk_writes import insert_many
from school.db.compiled_queries import ON_POSTGRESQL, BoundStatement, run_statements
from students.models import Action, EnrollmentEvent, StudentCourse

# The fields, in addition to the status, that commands may change in an existing enrollment. The journal stores their
# changes.
TRACKED_FIELDS = ("enrolled_on", "ended_on", "waitlisted_at", "grade", "instead_of_id")

# The upper 16 of the 64 bits of an advisory lock's key are the class of a marker, the others contain the id.
MARKER_CLASS = 0x5C40
SET_WRITE_MARKER = (
    "SELECT pg_advisory_xact_lock_shared(%s + last_value - CASE WHEN is_called THEN 0 ELSE 1 END)"
    " FROM students_enrollmentevent_id_seq"
)
LAST_ID = "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM students_enrollmentevent_id_seq"
LOWEST_MARKER = (
    "SELECT min((classid::bigint & 65535) << 32 | objid::bigint) FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = %s AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

WATERMARK_QUERIES: list[BoundStatement] = [(LAST_ID, []), (LOWEST_MARKER, [MARKER_CLASS])]

_watermarks: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # maps a connection to its highest known watermark


def append(events: Sequence[EnrollmentEvent]) -> None:
    """Add entries to the journal, in the transaction of the commands."""
    for event in events:
        # A new enrollment has its id only after its insert. The id is written to ``__dict__``: the foreign key's
        # descriptor is implemented in Python, and slow.
        vars(event)["enrollment_id"] = event.enrollment.id
    needs_marker = events and ON_POSTGRESQL
    # The lock is released at the end of the transaction. Then the rows of the transaction are visible.
    insert_many(events, preceding=[(SET_WRITE_MARKER, [MARKER_CLASS << 48])] if needs_marker else [])


def safe_watermark() -> int | None:
    """
    Return the id up to which the journal is complete for all later queries; None (on SQLite) if it always is.

    The order of the two queries matters: an id assigned before the first query belongs to a writer that had set its
    marker. Either the second query still sees the lock of that writer, or the entries of that writer are visible to the
    next query. The connection's own markers are ignored. SQLite has one writer at a time and assigns ids in the order
    of commits.
    """
    if not ON_POSTGRESQL:
        return None
    return watermark_from(run_statements(WATERMARK_QUERIES))


def watermark_from(answers: Sequence[list[Any]]) -> int:
    """Return the watermark computed from the results of ``WATERMARK_QUERIES``, and store it for the connection."""
    [(last_id,)], [(lowest_marker,)] = answers
    watermark: int = last_id if lowest_marker is None else min(last_id, lowest_marker)
    if not settings.POOLER:
        _watermarks[connection.connection] = max(watermark, cached_watermark())
    return watermark


def cached_watermark() -> int:
    """
    Return the highest watermark computed on this connection, 0 if there is none.

    A watermark stays valid as long as the database is the same. It is stored per connection, because a database server
    that was restored or replaced gets new connections. A connection to a pooler may outlive the database, so nothing is
    stored for it.
    """
    return _watermarks.get(connection.connection, 0) if connection.connection else 0


def snapshot(enrollment: StudentCourse) -> dict[str, Any]:
    """Return the fields of an enrollment that commands may change, as the journal stores them in JSON."""
    return {name: _json_value(getattr(enrollment, name)) for name in TRACKED_FIELDS}


def diff(fields: Mapping[str, Any], enrollment: StudentCourse) -> dict[str, list[Any]]:
    """Return the changes if an enrollment gets these values: ``[before, after]`` by name of the field."""
    return {
        name: [_json_value(before), _json_value(fields[name])]
        for name in TRACKED_FIELDS
        if name in fields and (before := getattr(enrollment, name)) != fields[name]
    }


def parse_value(name: str, value: str | None) -> Any:
    """Convert a value in the journal to the type of the field with this name."""
    field: Any = StudentCourse._meta.get_field(name)
    return field.to_python(value)


def replay(events: Iterable[EnrollmentEvent]) -> dict[str, Any]:
    """
    Rebuild an enrollment from its entries, in order: its ``TRACKED_FIELDS``, status, version, and times of creation and
    update.

    Raise ``ValueError`` for an entry that does not continue from the state after the previous one.
    """
    row: dict[str, Any] = {**_initial_fields(), "status": "", "version": 0, "created_at": None}
    for event in events:
        if event.from_status != row["status"]:
            raise ValueError(f"Entry {event.pk} begins with {event.from_status}, not with {row['status']}.")
        if event.action in (Action.PASS_OVER, Action.ADOPT):
            continue
        for name, (before, after) in event.changes.items():
            if row[name] != before:
                raise ValueError(f"Entry {event.pk} changes {name} from {before}, not from {row[name]}.")
            row[name] = after
        row |= {"status": event.to_status, "version": row["version"] + 1, "updated_at": event.at}
        row["created_at"] = row["created_at"] or event.at
    return row


@cache
def _initial_fields() -> dict[str, Any]:
    return snapshot(StudentCourse())


def replayable_snapshot(enrollment: StudentCourse) -> dict[str, Any]:
    """Return the stored enrollment in the format of ``replay``."""
    names = ("status", "version", "created_at", "updated_at")
    return {**snapshot(enrollment), **{name: getattr(enrollment, name) for name in names}}


def _json_value(value: str | int | date | None) -> str | int | None:
    return value.isoformat() if isinstance(value, date) else value
