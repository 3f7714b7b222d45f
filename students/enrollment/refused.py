"""
Who is refused, kept for who looks after it.

To refuse must stay cheap: a full course refuses thousands a second, without a lock. So a process remembers for a moment
whom it refused, and a thread writes it all down at once. What a process remembers when it is killed is lost.
"""

import atexit
from collections.abc import Iterable
from datetime import datetime
from threading import Lock, Timer
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from students.acts import Origin, Outcome
from students.models import Channel, RefusedAct

# An import tells of its refused rows itself, and a command who runs it.
KEPT = {Channel.API, Channel.ADMIN}
# They are about a mistake in a request, not about somebody who wants a seat.
NOT_ABOUT_STUDENTS = {"student_not_found", "course_not_found", "changed_meanwhile"}
MOST = 20_000  # remembered at a time
A_STATEMENT = 1_000

logger = structlog.get_logger(__name__)


class Line(NamedTuple):
    at: datetime
    action: str
    channel: str
    codes: str


_lines: dict[tuple[int, int], Line] = {}  # by student and course
_lock = Lock()
_timer: Timer | None = None


def remember(outcomes: Iterable[Outcome], origin: Origin) -> None:
    """Remember whom these outcomes refuse, until it is written down ``REFUSALS_SECONDS`` later."""
    if origin.channel not in KEPT or not settings.REFUSALS_SECONDS:
        return
    for outcome in outcomes:
        if outcome.refusals and (codes := _codes(outcome)):
            line = Line(origin.at or timezone.now(), outcome.act.action, origin.channel, codes)
            with _lock:
                if len(_lines) < MOST:
                    _lines[outcome.act.pair] = line
                _schedule()


def forget() -> None:
    """Forget who is remembered."""
    global _timer
    with _lock:
        _lines.clear()
        if _timer is not None:
            _timer.cancel()
        _timer = None


def write() -> None:
    """Write down who is remembered; where the database is away, remember them until it is back."""
    global _timer  # one for the process
    with _lock:
        lines, _timer = dict(_lines), None
        _lines.clear()
    if not lines:
        return
    rows = [
        RefusedAct(day=timezone.localdate(line.at), student_id=student, course_id=course, **line._asdict())
        for (student, course), line in sorted(lines.items())  # in one order, so that two processes never cross
    ]
    try:
        RefusedAct.objects.bulk_create(
            rows,
            batch_size=A_STATEMENT,
            update_conflicts=True,
            unique_fields=["day", "student", "course"],
            update_fields=["at", "action", "channel", "codes"],
        )
    except DatabaseError as error:
        logger.warning("refusals_wait", error=type(error).__name__, waiting=len(lines))
        with _lock:
            for pair, line in lines.items():
                _lines.setdefault(pair, line)
            _schedule()


def _codes(outcome: Outcome) -> str:
    return " ".join(refusal.code for refusal in outcome.refusals if refusal.code not in NOT_ABOUT_STUDENTS)


def _schedule() -> None:
    global _timer
    if _timer is None:
        _timer = Timer(settings.REFUSALS_SECONDS, _write_aside)
        _timer.daemon = True
        _timer.start()


def _write_aside() -> None:
    """Write in a thread of its own, with a connection that ends with it."""
    try:
        write()
    finally:
        connection.close()


atexit.register(_write_aside)
