"""
The change feed: every entry of the journal, in an order in which none can appear behind a reader's back.

A cursor says up to which entry somebody has read. It is signed, so that one of another list, or of another School, is
told from a good one.
"""

import threading
import time
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from school.limits import Limits, within
from school.refusals import Refusal, Refused
from students.journal import horizon
from students.models import EnrollmentEvent

LATEST = "latest"
ENDS = "SELECT min(id), max(id) FROM students_enrollmentevent"
POLL = 0.25  # seconds between two looks of who waits

_signer = signing.Signer(salt="changes")
_waiting_room = threading.BoundedSemaphore(settings.CHANGES_WAITERS)


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in their order, the cursor that goes on behind them, and whether there are more already."""

    events: list[EnrollmentEvent]
    cursor: str
    has_more: bool


def read_changes(after: str, limit: int, *, wait: float = 0, limits: Limits | None = None) -> Page:
    """
    Return the entries behind a cursor, at most ``limit``; "" begins with the first one, "latest" behind the last.

    Where there are none, hold the answer until there are or ``wait`` seconds have passed. Only so many wait at a time
    in a process (``CHANGES_WAITERS``), which has a thread more for each of them: whoever comes beyond that is answered
    at once, and other requests never lack a thread. Nothing is locked and no transaction is open meanwhile.

    Who is limited is given what lies within, and a cursor that has passed the rest by.

    Raise ``ValidationError`` for what is no cursor of this feed, ``Refused`` for one that has expired.
    """
    position = position_after(after)
    page = _page(position, limit, limits)
    if page.events or after == LATEST or not wait or not _waiting_room.acquire(blocking=False):
        return page
    try:
        ends_at = time.monotonic() + wait
        while not page.events and (left := ends_at - time.monotonic()) > 0:
            time.sleep(min(POLL, left))
            page = _page(position, limit, limits)
    finally:
        _waiting_room.release()
    return page


def cursor_at(event_id: int) -> str:
    """Return the cursor of who has read up to this entry."""
    return _signer.sign(str(event_id))


def _complete() -> QuerySet[EnrollmentEvent]:
    """Return the entries up to the one where nobody writes any more."""
    until = horizon()
    return EnrollmentEvent.objects.all() if until is None else EnrollmentEvent.objects.filter(pk__lte=until)


def _page(position: int, limit: int, limits: Limits | None) -> Page:
    events = _complete().filter(pk__gt=position)
    if limits is not None:
        # What lies outside up to here is not looked through again.
        until = events.aggregate(last=Max("pk"))["last"] or position
        events = within(events.filter(pk__lte=until), limits)
    parties = ("actor", "enrollment__student", "enrollment__course__term")
    rows = list(events.select_related(*parties).order_by("pk")[: limit + 1])
    found, has_more = rows[:limit], len(rows) > limit
    if limits is not None and not has_more:
        return Page(found, cursor_at(until), has_more=False)
    return Page(found, cursor_at(found[-1].pk if found else position), has_more=has_more)


def position_after(text: str) -> int:
    """
    Return the id of the last entry that the holder of a cursor has read, 0 for none.

    Raise ``ValidationError`` for what is no cursor of this feed, ``Refused`` for one that has expired.
    """
    if not text:
        return 0
    if text == LATEST:
        return _complete().aggregate(last=Max("pk"))["last"] or 0
    position = position_in(text)
    with connection.cursor() as cursor:
        cursor.execute(ENDS)
        refuse_expired(position, *cursor.fetchone())
    return position


def position_in(cursor: str) -> int:
    """Return the id that a cursor holds; raise ``ValidationError`` for what is none of this feed."""
    try:
        return int(_signer.unsign(cursor))
    except (signing.BadSignature, ValueError):
        message = _("This is no cursor of the change feed. Begin without one.")
        raise ValidationError({"after": ValidationError(message, code="invalid_cursor")}) from None


def refuse_expired(position: int, first: int | None, last: int | None) -> None:
    """Raise ``Refused`` for a position outside of what is kept, from the first entry to the last."""
    if position and not (first or 0) <= position <= (last or 0):
        message = _("What came behind this cursor is not kept any more. Read everything, then begin anew.")
        raise Refused([Refusal("cursor_expired", message, _("Cursor has expired"))])
