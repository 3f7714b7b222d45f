"""
The change feed: all journal entries, in an order in which no entry can appear before one that was already read.

A cursor contains the id of the last entry that was read and a digest of that entry. A database that was restored from
an older dump reuses ids for other entries: then the digest differs, and the cursor has expired. Cursors are signed, so
that a cursor of another list, or of another installation, is recognized. Cursors from before 0.1.0 have no digest; they
are accepted until 0.2.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from school.access.row_scope import RowScope, RowScopeParameters, filter_by_scope
from school.db.compiled_queries import (
    ON_POSTGRESQL,
    BoundStatement,
    QueryParameter,
    Row,
    Statement,
    StatementCache,
    compile_statement,
    limit_above,
    run_statements,
)
from school.refusals import Refusal, Refused
from students.events.log import HORIZON, horizon, horizon_in, known_horizon
from students.models import EnrollmentEvent

LATEST = "latest"
# The fields of an entry that the digest covers. Nothing ever changes them, not even the erasure of a student.
DIGESTED = ("enrollment_id", "action", "at", "request_id")
DIGEST_LENGTH = 16  # of the 64 hexadecimal digits of SHA-256
WINDOW = 1_000  # entries that are scanned for a page of a limited caller, which may see few of them
POLL = 0.25  # seconds between two queries of a waiting request

_signer = signing.Signer(salt="changes")
SIGNATURE_LENGTH = len(_signer.signature(""))
_waiting_room = threading.BoundedSemaphore(settings.CHANGES_WAITERS)


# Returns the query expressions for the columns that the caller reads. It is called once for each shape.
Columns = Callable[[], Sequence[Any]]


class Entry(NamedTuple):
    """An entry of the journal: its id, the values of ``DIGESTED``, and the columns that were asked for."""

    id: int
    digested: Row
    columns: Row

    @property
    def position(self) -> "Position":
        return Position(self.id, digest_of(*self.digested))

    @property
    def cursor(self) -> str:
        """The cursor of a reader that has read up to this entry."""
        return cursor_at(self.position)


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in order, the cursor after them, and whether more entries exist already."""

    entries: Sequence[Entry]
    cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Position:
    """The last entry that a reader has read, 0 for none. ``digest`` is empty for a cursor without a digest."""

    event_id: int = 0
    digest: str = ""


def read_changes(
    after: str,
    limit: int,
    columns: Columns = tuple,
    *,
    shape: str = "",
    wait: float = 0,
    row_scope: RowScope | None = None,
) -> Page:
    """
    Return at most ``limit`` entries after the cursor ``after``: "" starts at the first entry, "latest" after the last.

    If there are none, wait until there are, or until ``wait`` seconds have passed. At most ``CHANGES_WAITERS`` requests
    wait at a time in a process, which has an extra thread for each of them, so that other requests never lack a thread;
    further requests return immediately. No lock is held and no transaction is open while a request waits.

    A limited caller gets the entries within its limits, and a cursor that has passed the others. Each page scans
    ``WINDOW`` entries: if more follow, the page may have fewer entries than ``limit``, or none, and ``has_more`` is
    True. Different ``columns`` need a different ``shape``.

    Raise ``ValidationError`` if ``after`` is not a cursor of this feed, ``Refused`` if it has expired.
    """
    reader = Reader(limit, columns, shape, row_scope)
    position = _latest() if after == LATEST else position_in(after)
    page, position = reader.page(position)
    if page.entries or page.has_more or after == LATEST or not wait or not _waiting_room.acquire(blocking=False):
        return page
    try:
        ends_at = time.monotonic() + wait
        while not (page.entries or page.has_more) and (left := ends_at - time.monotonic()) > 0:
            time.sleep(min(POLL, left))
            page, position = reader.page(position)
    finally:
        _waiting_room.release()
    return page


@dataclass(frozen=True, slots=True)
class Found:
    """
    A confirmed position and the entries after it.

    For a limited caller, ``looked_through`` is the position up to which entries were scanned; ``is_cut`` is True if
    more may follow.
    """

    position: Position
    entries: list[Entry]
    looked_through: Position | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads pages by statements that are compiled once for each shape."""

    limit: int
    columns: Columns
    shape: str
    row_scope: RowScope | None

    def page(self, position: "Position") -> "tuple[Page, Position]":
        """Return the page after a position, and the position of a reader that has read the page; raise ``Refused``."""
        found = self._read(position)
        more, entries = len(found.entries) > self.limit, found.entries[: self.limit]
        position = found.position
        if entries and (more or found.looked_through is None):
            position = entries[-1].position
        elif found.looked_through is not None:
            position = found.looked_through
        return Page(entries, cursor_at(position), has_more=more or found.is_cut), position

    def _read(self, position: "Position") -> "Found":
        """Return the entries after a position, with one more than ``limit`` if there is one; raise ``Refused``."""
        window = _statements.get("window", _end_of_window).bind({"id": position.event_id})
        entries = self._behind(position.event_id)
        asked = [
            *([_statements.get("newest", _newest).bind({}), window] if self.row_scope else []),
            entries,
            *([_statements.get("one", _one).bind({"id": position.event_id})] if position.event_id else []),
        ]
        until = known_horizon() if ON_POSTGRESQL else math.inf
        read = list(map(_entries_in, run_statements(asked)))
        newest, end = (read.pop(0), read.pop(0)) if self.row_scope else ([], [])
        behind, *others = read
        if self.row_scope and not ON_POSTGRESQL:
            # SQLite's writers commit one after the other. An entry after the newest one is for the next page.
            until = max((entry.id for entry in newest), default=0)
        elif max((entry.id for entry in [*behind, *newest]), default=0) > until:
            # Read again after the horizon: all entries up to the horizon are visible to every later query.
            given, announced, *found = run_statements([*HORIZON, entries, *([window] if self.row_scope else [])])
            until, behind = horizon_in([given, announced]), _entries_in(found[0])
            end = _entries_in(found[1]) if self.row_scope else []
            if newest:
                newest = _entries_in(_statements.get("newest until", _newest_until).run({"until": until}))
        position = confirmed(position, others[0] if others else [])
        if not self.row_scope:
            return Found(position, [entry for entry in behind if entry.id <= until])
        behind, end = ([entry for entry in entries if entry.id <= until] for entries in (behind, end))
        passed = max([position, *(entry.position for entry in end or newest)], key=attrgetter("event_id"))
        return Found(position, behind, passed, is_cut=bool(end))

    def _behind(self, event_id: int) -> BoundStatement:
        most = limit_above(self.limit)
        is_limited = self.row_scope is not None
        statement = _statements.get(("behind", self.shape, is_limited, most), lambda: self._compiled(most))
        scope_values = RowScopeParameters.values_of(self.row_scope) if self.row_scope else {}
        return statement.bind({"id": event_id, **scope_values})

    def _compiled(self, most: int) -> Statement:
        """
        Compile the query of the entries after an id.

        With an upper id in the query too, PostgreSQL would expect few rows, and sort them. The window is a subquery of
        ids, which is read only as far as its rows are needed.
        """
        entries = EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk")
        if self.row_scope:
            window = EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk").values("pk")[:WINDOW]
            entries = filter_by_scope(entries.filter(pk__in=window), RowScopeParameters)
        return compile_statement(entries.values_list("pk", *DIGESTED, *self.columns())[:most])


_statements = StatementCache()


def _entries_in(rows: Iterable[Row]) -> list[Entry]:
    width = 1 + len(DIGESTED)
    return [Entry(row[0], row[1:width], row[width:]) for row in rows]


def _newest_first() -> QuerySet[Any, Any]:
    return EnrollmentEvent.objects.order_by("-pk").values_list("pk", *DIGESTED)


def _one() -> Statement:
    return compile_statement(_newest_first().filter(pk=QueryParameter("id")))


def _newest() -> Statement:
    return compile_statement(_newest_first()[:1])


def _end_of_window() -> Statement:
    """Compile the query of the last entry of a full window."""
    entries = EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk").values_list("pk", *DIGESTED)
    return compile_statement(entries[WINDOW - 1 : WINDOW])


def _newest_until() -> Statement:
    return compile_statement(_newest_first().filter(pk__lte=QueryParameter("until"))[:1])


def _latest() -> "Position":
    """Return the position of the last entry before which no transaction can still add one."""
    until = horizon()
    entries = _newest_first() if until is None else _newest_first().filter(pk__lte=until)
    return next((entry.position for entry in _entries_in(entries[:1])), Position())


def cursor_at(position: Position) -> str:
    """Return the cursor of a reader that has read up to this position."""
    event_id, digest = position.event_id, position.digest
    return f"{event_id}:{digest}{_signer.signature(_signed(event_id, digest))}"


def cursor_of(event: EnrollmentEvent) -> str:
    """Return the cursor of a reader that has read up to this entry."""
    return cursor_at(Position(event.pk, digest_of(*(getattr(event, name) for name in DIGESTED))))


def _signed(event_id: object, digest: str) -> str:
    return f"{event_id}.{digest}" if digest else str(event_id)


def digest_of(enrollment_id: int, action: str, at: datetime | str, request_id: str) -> str:
    """Return the digest of an entry with these values of the fields ``DIGESTED``. A text in ``at`` is in UTC."""
    if isinstance(at, str):  # SQLite's format, in UTC
        at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    text = f"{enrollment_id} {action} {at.astimezone(UTC).isoformat()} {request_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def position_in(cursor: str) -> Position:
    """Return the position in a cursor; raise ``ValidationError`` if the text is not a cursor of this feed."""
    if not cursor:
        return Position()
    event_id, _colon, rest = cursor.partition(":")
    digest, signature = rest[:-SIGNATURE_LENGTH], rest[-SIGNATURE_LENGTH:]
    try:
        _signer.unsign(f"{_signed(event_id, digest)}:{signature}")
        return Position(int(event_id), digest)
    except (signing.BadSignature, ValueError):
        message = _("This is no cursor of the change feed. Begin without one.")
        raise ValidationError({"after": ValidationError(message, code="invalid_cursor")}) from None


def confirmed(position: Position, entries: Sequence[Entry]) -> Position:
    """
    Return the position with the digest of its entry; raise ``Refused`` if that entry is missing or has another digest.

    ``entries`` has the entry with the position's id, if there is one.
    """
    if not position.event_id:
        return position
    digests = [entry.position.digest for entry in entries]
    if not digests or position.digest not in ("", *digests):
        message = _("What came behind this cursor is not kept any more. Read everything, then begin anew.")
        raise Refused([Refusal("cursor_expired", message, _("Cursor has expired"))])
    return Position(position.event_id, digests[0])
