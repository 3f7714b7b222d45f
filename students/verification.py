"""
Verifies the database: the journal leads to every enrollment, and no seat was given that was not there.

The checks read the rows, not the rules that wrote them. Findings name ids, and no values of students.
"""

from bisect import bisect_right
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Count, Exists, F, Field, Model, OuterRef

from courses.models import Course
from school.db.read_snapshot import read_snapshot
from students.events.journal import TRACKED_FIELDS, replay, replayable_snapshot
from students.holds import wrong_flags
from students.models import EnrollmentEvent, Status, StudentCourse

CHUNK = 2_000  # enrollments that are in memory at a time
MOST_OF_A_KIND = 100  # findings of one check of a table; more of them say nothing new
COURSE_FULL = "course_full"
# The journal has the time at which a command began; a capacity may have changed while it waited for its lock.
CLOCK_TOLERANCE = timedelta(minutes=1)
UNCHECKED_BY_DATABASE = (EnrollmentEvent._meta.get_field("file_import"),)
# Tuples with the attributes of the models: creating model instances would take most of the time.
ROW_COLUMNS = ("pk", "status", "version", "created_at", "updated_at", *TRACKED_FIELDS)
Row: Any = namedtuple("Row", ROW_COLUMNS)  # type: ignore[misc]  # mypy wants a literal
Entry: Any = namedtuple("Entry", ("enrollment_id", "pk", "action", "at", "from_status", "to_status", "changes"))


def findings(report: Callable[[int], object] = lambda _count: None) -> Iterator[str]:
    """
    Yield a sentence for everything that is wrong, as of one moment. Others may write meanwhile.

    ``report`` is called with the number of enrollments that were compared with the journal.
    """
    with read_snapshot():
        yield from damaged_pages()
        yield from missing_objects()
        yield from double_open_enrollments()
        yield from seats_over_capacity()
        yield from wrong_hold_flags()
        yield from differences_from_journal(report)


def damaged_pages() -> Iterator[str]:
    """Yield the damage that SQLite finds in its file. PostgreSQL has its own tool, pg_amcheck."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA integrity_check({MOST_OF_A_KIND})")
            yield from (f"The database file is damaged: {line}." for (line,) in cursor.fetchall() if line != "ok")


def missing_objects() -> Iterator[str]:
    """Yield the rows that refer to a row that is not there."""
    for model in apps.get_models(include_auto_created=True):
        fields: Any = model._meta.concrete_fields
        for field in fields:
            if field.is_relation and (field.db_constraint or field in UNCHECKED_BY_DATABASE):
                yield from _orphans(model, field)


def _orphans(model: type[Model], field: Any) -> Iterator[str]:
    target: Field[Any, Any] = field.target_field
    referred = target.model._base_manager.filter(**{target.name: OuterRef(field.attname)})
    orphans = model._base_manager.filter(~Exists(referred), **{f"{field.name}__isnull": False})
    for pk in orphans.order_by("pk").values_list("pk", flat=True)[:MOST_OF_A_KIND]:
        yield f"{model._meta.label} {pk} has no {field.name}: it refers to a row that does not exist."


def double_open_enrollments() -> Iterator[str]:
    """Yield the students with several open enrollments in a course."""
    pairs = StudentCourse.objects.open().order_by("student", "course").values_list("student", "course")
    for student_id, course_id, count in pairs.annotate(count=Count("pk")).filter(count__gt=1)[:MOST_OF_A_KIND]:
        yield f"Student {student_id} has {count} open enrollments in course {course_id}."


def seats_over_capacity() -> Iterator[str]:
    """
    Yield the seats that were given above the capacity of their time, without a waiver, in courses that are over-full.

    A course may have more students than seats if its capacity was lowered, or if rules were waived.
    """
    seats = StudentCourse.objects.enrolled().order_by("course").values_list("course", "course__capacity")
    for course_id, _capacity, _count in seats.annotate(count=Count("pk")).filter(count__gt=F("course__capacity")):
        yield from _oversold_seats(Course.objects.get(pk=course_id))


def _oversold_seats(course: Course) -> Iterator[str]:
    history = list(course.history.order_by("history_date", "history_id").values_list("history_date", "capacity"))
    seated: dict[int, int | None] = {}  # maps an enrollment to the entry that gave it a seat that was not there
    columns = ("pk", "enrollment_id", "at", "to_status", "waived")
    events = EnrollmentEvent.objects.filter(enrollment__course=course).order_by("pk").values_list(*columns)
    for pk, enrollment_id, at, to_status, waived in events.iterator(chunk_size=CHUNK):
        if to_status != Status.ENROLLED:
            seated.pop(enrollment_id, None)
        elif enrollment_id not in seated:
            capacity = _highest_capacity(history, course.capacity, at)
            is_above = capacity is not None and len(seated) >= capacity and COURSE_FULL not in waived
            seated[enrollment_id] = pk if is_above else None
    for enrollment_id, event_id in seated.items():
        if event_id is not None:
            yield (
                f"Enrollment {enrollment_id} has a seat above the capacity of course {course.pk} without a waiver: "
                f"entry {event_id} gave it."
            )


def _highest_capacity(history: list[tuple[datetime, int | None]], current: int | None, at: datetime) -> int | None:
    """Return the highest capacity of a course at about this time; None for no limit."""
    dates = [date for date, _capacity in history]
    first = max(bisect_right(dates, at - CLOCK_TOLERANCE) - 1, 0)
    last = bisect_right(dates, at + CLOCK_TOLERANCE)
    capacities = [capacity for _date, capacity in history[first : max(last, first + 1)]] or [current]
    return None if None in capacities else max(capacity for capacity in capacities if capacity is not None)


def wrong_hold_flags() -> Iterator[str]:
    """Yield the students whose flag ``has_holds`` differs from their holds: the rules would miss a hold."""
    for pk, has_holds in wrong_flags().order_by("pk").values_list("pk", "has_holds")[:MOST_OF_A_KIND]:
        yield f"Student {pk} is marked as {'having' if has_holds else 'not having'} holds, which is wrong."


def differences_from_journal(report: Callable[[int], object] = lambda _count: None) -> Iterator[str]:
    """Yield the enrollments whose entries, one after the other, do not lead to the stored row."""
    last_id, count = 0, 0
    enrollments = StudentCourse.objects.order_by("pk").values_list(*ROW_COLUMNS)
    make_row: Any = Row._make
    while rows := [make_row(each) for each in enrollments.filter(pk__gt=last_id)[:CHUNK]]:
        first_id, last_id = rows[0].pk, rows[-1].pk
        events = EnrollmentEvent.objects.filter(enrollment_id__gte=first_id, enrollment_id__lte=last_id)
        entries = events.order_by("enrollment_id", "pk").values_list(*Entry._fields).iterator(chunk_size=CHUNK)
        groups = groupby(map(Entry._make, entries), attrgetter("enrollment_id"))
        following = next(groups, None)
        for row in rows:
            while following is not None and following[0] < row.pk:  # entries without a row: see missing_objects
                following = next(groups, None)
            if following is None or following[0] != row.pk:
                yield f"Enrollment {row.pk} has no entry in the journal."
                continue
            yield from _difference(row, following[1])
            following = next(groups, None)
        count += len(rows)
        report(count)


def _difference(row: Any, events: Iterable[Any]) -> Iterator[str]:
    try:
        replayed = replay(events)
    except (ValueError, TypeError, KeyError, AttributeError):
        yield f"The entries of enrollment {row.pk} do not follow from each other."
        return
    stored = replayable_snapshot(row)
    if replayed != stored:
        names = ", ".join(sorted(name for name in stored if stored[name] != replayed[name]))
        yield f"Enrollment {row.pk} differs from its entries in the journal: {names}."
