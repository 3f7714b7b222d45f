"""
The journal: an append-only entry for every change of an enrollment, ordered so that a reader misses none.

Entries are read in the order of their ids, up to the safe watermark of ``JOURNAL``.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from school.db.bulk_writes import insert_many
from school.db.compiled_queries import ON_POSTGRESQL
from school.db.ordered_tables import OrderedTable
from students.models import Action, EnrollmentEvent, StudentCourse

# The fields, in addition to the status, that commands may change in an existing enrollment. The journal stores their
# changes.
TRACKED_FIELDS = ("enrolled_on", "ended_on", "waitlisted_at", "grade", "instead_of_id")

JOURNAL = OrderedTable("students_enrollmentevent_id_seq", 0x5C40)


def append(events: Sequence[EnrollmentEvent]) -> None:
    """Add entries to the journal, in the transaction of the commands."""
    for event in events:
        # A new enrollment has its id only after its insert. The id is written to ``__dict__``: the foreign key's
        # descriptor is implemented in Python, and slow.
        vars(event)["enrollment_id"] = event.enrollment.id
    needs_marker = events and ON_POSTGRESQL
    insert_many(events, preceding=[JOURNAL.set_marker] if needs_marker else [])


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
