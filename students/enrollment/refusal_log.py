"""
The log of refusals, for staff.

A refusal must be cheap: a full course may refuse thousands of requests per second, without a lock. So a process keeps
refusals in memory for a short time, and a thread writes them together. The refusals in memory are lost if the process
is killed.
"""

import atexit
from collections.abc import Iterable, Mapping
from datetime import datetime
from threading import Lock, Timer
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
    connection,
    transaction,
)
from django.utils import timezone

from courses.models import Course
from school.db.compiled_queries import PreparedQuery
from students.enrollment.actor_context import ActorContext
from students.enrollment.outcomes import Outcome
from students.models import Channel, RefusedAct, Student

# The channels whose refusals are recorded. Imports and management commands report their refusals to the user
# themselves.
LOGGED_CHANNELS = {Channel.API, Channel.ADMIN}
# Codes that report a mistake in the request. These refusals are not recorded, since no student was refused a seat.
IGNORED_CODES = {"student_not_found", "course_not_found", "changed_meanwhile"}
MAX_PENDING = 20_000  # the maximum number of refusals in memory
BATCH_SIZE = 1_000  # the number of rows in one INSERT statement
# Errors caused by the content of the rows. Another attempt to write the same rows would fail again.
PERMANENT_ERRORS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
# FOR KEY SHARE keeps other transactions from deleting or erasing the student before the refusal is written: an erased
# student must have no refusals.
LOCK_COURSE_IDS: PreparedQuery[Any] = PreparedQuery(
    lambda ids: Course.objects.filter(pk__any_of=ids).order_by("pk").values_list("pk"), "FOR KEY SHARE"
)
LOCK_STUDENT_IDS: PreparedQuery[Any] = PreparedQuery(
    lambda ids: Student.objects.filter(pk__any_of=ids, erased_at=None).order_by("pk").values_list("pk"), "FOR KEY SHARE"
)

logger = structlog.get_logger(__name__)


class RefusalEntry(NamedTuple):
    at: datetime
    action: str
    channel: str
    codes: str


RefusalEntries = Mapping[tuple[int, int], RefusalEntry]

_pending: dict[tuple[int, int], RefusalEntry] = {}  # the refusals in memory, by the ids of student and course
_lock = Lock()
_timer: Timer | None = None


def record(outcomes: Iterable[Outcome], actor: ActorContext) -> None:
    """Keep the refusals among these outcomes in memory, and schedule their writing in ``REFUSALS_SECONDS``."""
    if actor.channel not in LOGGED_CHANNELS or not settings.REFUSALS_SECONDS:
        return
    for outcome in outcomes:
        if outcome.refusals and (codes := _codes(outcome)):
            entry = RefusalEntry(actor.at or timezone.now(), outcome.command.action, actor.channel, codes)
            with _lock:
                if len(_pending) < MAX_PENDING:
                    _pending[outcome.command.key] = entry
                _schedule()


def clear() -> None:
    """Discard the refusals in memory, and cancel their writing."""
    global _timer
    with _lock:
        _pending.clear()
        if _timer is not None:
            _timer.cancel()
        _timer = None


def flush() -> None:
    """
    Write the refusals in memory to the database.

    While the database is unavailable they stay in memory and are written later. A row that the database rejects
    permanently is dropped, and its ids are logged.
    """
    global _timer  # each process has one thread that writes refusals
    with _lock:
        entries, _timer = dict(_pending), None
        _pending.clear()
    if not entries:
        return
    try:
        try:
            _store(entries)
        except PERMANENT_ERRORS:
            _store_one_by_one(entries)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("refusals_wait", error=type(error).__name__, waiting=len(entries))
        with _lock:
            for key, entry in entries.items():
                _pending.setdefault(key, entry)
            _schedule()


@transaction.atomic
def _store(entries: RefusalEntries) -> None:
    """Write refusals, except those of students and courses that were deleted and of students that were erased."""
    courses = {pk for (pk,) in LOCK_COURSE_IDS(sorted({course for _student, course in entries}))}
    students = {pk for (pk,) in LOCK_STUDENT_IDS(sorted({student for student, _course in entries}))}
    rows = [
        RefusedAct(day=timezone.localdate(entry.at), student_id=student, course_id=course, **entry._asdict())
        # All processes lock the rows in this order, so that no deadlock is possible.
        for (student, course), entry in sorted(entries.items())
        if student in students and course in courses
    ]
    RefusedAct.objects.bulk_create(
        rows,
        batch_size=BATCH_SIZE,
        update_conflicts=True,
        unique_fields=["day", "student", "course"],
        update_fields=["at", "action", "channel", "codes"],
    )


def _store_one_by_one(entries: RefusalEntries) -> None:
    """Write each refusal in its own transaction, and drop those that the database rejects permanently."""
    for key, entry in entries.items():
        try:
            _store({key: entry})
        except PERMANENT_ERRORS as error:
            student, course = key
            logger.error("refusal_dropped", error=type(error).__name__, student_id=student, course_id=course)


def _codes(outcome: Outcome) -> str:
    """Return the different codes of an outcome, separated by blanks."""
    codes = dict.fromkeys(refusal.code for refusal in outcome.refusals)
    return " ".join(code for code in codes if code not in IGNORED_CODES)


def _schedule() -> None:
    global _timer
    if _timer is None:
        _timer = Timer(settings.REFUSALS_SECONDS, _flush_and_close)
        _timer.daemon = True
        _timer.start()


def _flush_and_close() -> None:
    """
    Write the refusals, and close the database connection of this thread.

    The timer's thread and the exit of the process call this.
    """
    try:
        flush()
    finally:
        connection.close()


atexit.register(_flush_and_close)
