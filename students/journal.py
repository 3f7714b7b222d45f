"""
The journal: one entry for every act on an enrollment, only ever added to, and ordered so that a reader misses nothing.

Entries are read in the order of their ids. PostgreSQL gives an id when a row is inserted and shows the row when its
transaction commits, so a higher id may appear before a lower one. A writer therefore announces, before it takes its
first id, by which id it began; ``horizon`` is the highest id below which no writer is at work any more.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection

from school.copying import insert_many
from school.postgresql.wire import Asked
from school.prepared import ON_POSTGRESQL, run_together
from students.models import Action, EnrollmentEvent, StudentCourse

# Everything that an act may change in a row that exists. Also the row's full text in the journal, beside the status.
STATE = ("enrolled_on", "ended_on", "waitlisted_at", "grade")

# The upper 16 of the 64 bits of an advisory lock's key say that it is an announcement, the others hold the id.
ANNOUNCEMENT = 0x5C40
ANNOUNCE = (
    "SELECT pg_advisory_xact_lock_shared(%s + last_value - CASE WHEN is_called THEN 0 ELSE 1 END)"
    " FROM students_enrollmentevent_id_seq"
)
LAST_ID = "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM students_enrollmentevent_id_seq"
FIRST_ANNOUNCED = (
    "SELECT min((classid::bigint & 65535) << 32 | objid::bigint) FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = %s AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

HORIZON: list[Asked] = [(LAST_ID, []), (FIRST_ANNOUNCED, [ANNOUNCEMENT])]

_complete: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # up to which entry, by connection


def append(events: Sequence[EnrollmentEvent]) -> None:
    """Add to the journal, within the transaction of the acts."""
    for event in events:
        event.enrollment_id = event.enrollment.pk  # which a new one has only since it was written
    announces = events and ON_POSTGRESQL
    # Let go by the end of the transaction, once its rows can be seen.
    insert_many(events, behind=[(ANNOUNCE, [ANNOUNCEMENT << 48])] if announces else [])


def horizon() -> int | None:
    """
    Return the id up to which the journal is complete for whoever reads it from now on; None where that is all of it.

    Read in this order: an id that was given before the first query belongs to a writer that had announced itself, and
    that is either still seen by the second query or done, and visible to the reader's next one. Own entries do not
    hold their writer back. SQLite has one writer at a time, and gives ids in the order of commits.
    """
    if not ON_POSTGRESQL:
        return None
    return horizon_in(run_together(HORIZON))


def horizon_in(answers: Sequence[list[Any]]) -> int:
    """Return the horizon that the answers to ``HORIZON`` tell of."""
    [(given,)], [(begun,)] = answers
    until: int = given if begun is None else min(given, begun)
    _complete[connection.connection] = max(until, known_horizon())
    return until


def known_horizon() -> int:
    """
    Return a horizon that was told before: what was complete stays so. 0 where there was none.

    A server that was set back, or is another one, has new connections.
    """
    return _complete.get(connection.connection, 0) if connection.connection else 0


def state_of(enrollment: StudentCourse) -> dict[str, Any]:
    """Return what acts may change in an enrollment, as the journal writes it."""
    return {name: _as_json(getattr(enrollment, name)) for name in STATE}


def changes_between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what differs, each as ``[before, after]``."""
    return {name: [before[name], after[name]] for name in STATE if before[name] != after[name]}


def from_json(name: str, value: str | None) -> Any:
    """Return a value of the journal as the field of this name holds it."""
    field: Any = StudentCourse._meta.get_field(name)
    return field.to_python(value)


def replay(events: Iterable[EnrollmentEvent]) -> dict[str, Any]:
    """
    Return what an enrollment's entries, in their order, make of nothing: its state, status, version and instants.

    Raise ``ValueError`` for an entry that does not go on where the one before it ended.
    """
    row: dict[str, Any] = {**state_of(StudentCourse()), "status": "", "version": 0, "created_at": None}
    for event in events:
        if event.from_status != row["status"]:
            raise ValueError(f"Entry {event.pk} begins with {event.from_status}, not with {row['status']}.")
        if event.action == Action.PASS_OVER:
            continue
        for name, (before, after) in event.changes.items():
            if row[name] != before:
                raise ValueError(f"Entry {event.pk} changes {name} from {before}, not from {row[name]}.")
            row[name] = after
        row |= {"status": event.to_status, "version": row["version"] + 1, "updated_at": event.at}
        row["created_at"] = row["created_at"] or event.at
    return row


def row_of(enrollment: StudentCourse) -> dict[str, Any]:
    """Return an enrollment as ``replay`` returns it."""
    names = ("status", "version", "created_at", "updated_at")
    return {**state_of(enrollment), **{name: getattr(enrollment, name) for name in names}}


def _as_json(value: str | date | None) -> str | None:
    return value if isinstance(value, str) or value is None else value.isoformat()
