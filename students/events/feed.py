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
from students.events.journal import WATERMARK_QUERIES, cached_watermark, safe_watermark, watermark_from
from students.models import EnrollmentEvent

LATEST = "latest"
# The fields of an entry that the digest covers. Nothing ever changes them, not even the erasure of a student.
DIGEST_FIELDS = ("enrollment_id", "action", "at", "request_id")
DIGEST_LENGTH = 16  # the number of digits that are used, of the 64 hexadecimal digits of SHA-256
# The number of entries that are scanned for a page of a limited caller, who may see only few of them.
SCAN_WINDOW = 1_000
POLL_INTERVAL = 0.25  # seconds between two queries of a waiting request

_signer = signing.Signer(salt="changes")
SIGNATURE_LENGTH = len(_signer.signature(""))
_long_poll_slots = threading.BoundedSemaphore(settings.CHANGES_WAITERS)


# A function that returns the query expressions for the columns that the caller reads. It is called once for each
# ``shape``.
Columns = Callable[[], Sequence[Any]]


class Entry(NamedTuple):
    """An entry of the journal: its id, the values of ``DIGEST_FIELDS``, and the columns that the caller reads."""

    id: int
    digest_values: Row
    columns: Row

    @property
    def position(self) -> "Position":
        return Position(self.id, digest_of(*self.digest_values))

    @property
    def cursor(self) -> str:
        """The cursor of a reader that has read up to this entry."""
        return encode_cursor(self.position)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A page of the change feed: entries in order, the cursor after them, and whether more entries exist already."""

    entries: Sequence[Entry]
    cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Position:
    """
    The id of the last entry that a reader has read (0 for none), and its digest.

    ``digest`` is empty if the cursor has none.
    """

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
) -> FeedPage:
    """
    Return at most ``limit`` entries after the cursor ``after``.

    With "", the first page is returned; with "latest", only new entries. If there are none, wait until there are, or
    until ``wait`` seconds have passed. At most ``CHANGES_WAITERS`` requests wait at a time in a process, which has an
    extra thread for each of them, so that other requests never lack a thread; further requests return immediately. No
    lock is held and no transaction is open while a request waits.

    A limited caller gets the entries within its limits, and a cursor that has passed the others. Each page scans
    ``SCAN_WINDOW`` entries: if more follow, the page may have fewer entries than ``limit``, or none, and ``has_more``
    is True. Different ``columns`` need a different ``shape``.

    Raise ``ValidationError`` if ``after`` is not a cursor of this feed, ``Refused`` if it has expired.
    """
    reader = Reader(limit, columns, shape, row_scope)
    position = _latest_position() if after == LATEST else decode_cursor(after)
    page, position = reader.page(position)
    if page.entries or page.has_more or after == LATEST or not wait or not _long_poll_slots.acquire(blocking=False):
        return page
    try:
        deadline = time.monotonic() + wait
        while not (page.entries or page.has_more) and (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_INTERVAL, remaining))
            page, position = reader.page(position)
    finally:
        _long_poll_slots.release()
    return page


@dataclass(frozen=True, slots=True)
class ScanResult:
    """
    A confirmed position and the entries after it.

    For a limited caller, ``scanned_to`` is the position up to which entries were scanned; ``is_truncated`` is True if
    more may follow.
    """

    position: Position
    entries: list[Entry]
    scanned_to: Position | None = None
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads pages by statements that are compiled once for each shape."""

    limit: int
    columns: Columns
    shape: str
    row_scope: RowScope | None

    def page(self, position: "Position") -> "tuple[FeedPage, Position]":
        """Return the page after a position, and the position of a reader that has read the page; raise ``Refused``."""
        result = self._read(position)
        has_more, entries = len(result.entries) > self.limit, result.entries[: self.limit]
        position = result.position
        if entries and (has_more or result.scanned_to is None):
            position = entries[-1].position
        elif result.scanned_to is not None:
            position = result.scanned_to
        return FeedPage(entries, encode_cursor(position), has_more=has_more or result.is_truncated), position

    def _read(self, position: "Position") -> "ScanResult":
        """Return the entries after a position, with one more than ``limit`` if there is one; raise ``Refused``."""
        window = _statements.get("window", _compile_end_of_window).bind({"id": position.event_id})
        entries = self._entries_after(position.event_id)
        queries = [
            *([_statements.get("newest", _compile_newest).bind({}), window] if self.row_scope else []),
            entries,
            *([_statements.get("one", _compile_by_id).bind({"id": position.event_id})] if position.event_id else []),
        ]
        watermark = cached_watermark() if ON_POSTGRESQL else math.inf
        results = list(map(_parse_entries, run_statements(queries)))
        newest, window_end = (results.pop(0), results.pop(0)) if self.row_scope else ([], [])
        following, *current = results
        if self.row_scope and not ON_POSTGRESQL:
            # SQLite's writers commit one after the other, so every entry up to the newest one is visible. Later entries
            # are for the next page.
            watermark = max((entry.id for entry in newest), default=0)
        elif max((entry.id for entry in [*following, *newest]), default=0) > watermark:
            # Read again after the watermark: all entries up to it are visible to every later query.
            last_id, lowest_marker, *reread = run_statements(
                [*WATERMARK_QUERIES, entries, *([window] if self.row_scope else [])]
            )
            watermark, following = watermark_from([last_id, lowest_marker]), _parse_entries(reread[0])
            window_end = _parse_entries(reread[1]) if self.row_scope else []
            if newest:
                newest = _parse_entries(
                    _statements.get("newest until", _compile_newest_until).run({"until": watermark})
                )
        position = verify_position(position, current[0] if current else [])
        if not self.row_scope:
            return ScanResult(position, [entry for entry in following if entry.id <= watermark])
        following, window_end = (
            [entry for entry in entries if entry.id <= watermark] for entries in (following, window_end)
        )
        scanned_to = max([position, *(entry.position for entry in window_end or newest)], key=attrgetter("event_id"))
        return ScanResult(position, following, scanned_to, is_truncated=bool(window_end))

    def _entries_after(self, event_id: int) -> BoundStatement:
        row_limit = limit_above(self.limit)
        is_limited = self.row_scope is not None
        statement = _statements.get(
            ("after", self.shape, is_limited, row_limit), lambda: self._compile_entries(row_limit)
        )
        scope_values = RowScopeParameters.values_of(self.row_scope) if self.row_scope else {}
        return statement.bind({"id": event_id, **scope_values})

    def _compile_entries(self, row_limit: int) -> Statement:
        """
        Compile the query of the entries after an id.

        The query has no upper limit of ids: with one, PostgreSQL would expect few rows, and sort them. The window of a
        limited caller is a subquery of ids, which the database reads only until the page is full.
        """
        entries = EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk")
        if self.row_scope:
            window = (
                EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk").values("pk")[:SCAN_WINDOW]
            )
            entries = filter_by_scope(entries.filter(pk__in=window), RowScopeParameters)
        return compile_statement(entries.values_list("pk", *DIGEST_FIELDS, *self.columns())[:row_limit])


_statements = StatementCache()


def _parse_entries(rows: Iterable[Row]) -> list[Entry]:
    width = 1 + len(DIGEST_FIELDS)
    return [Entry(row[0], row[1:width], row[width:]) for row in rows]


def _newest_first() -> QuerySet[Any, Any]:
    return EnrollmentEvent.objects.order_by("-pk").values_list("pk", *DIGEST_FIELDS)


def _compile_by_id() -> Statement:
    return compile_statement(_newest_first().filter(pk=QueryParameter("id")))


def _compile_newest() -> Statement:
    return compile_statement(_newest_first()[:1])


def _compile_end_of_window() -> Statement:
    """Compile the query of the last entry in a window of ``SCAN_WINDOW`` entries."""
    entries = (
        EnrollmentEvent.objects.filter(pk__gt=QueryParameter("id")).order_by("pk").values_list("pk", *DIGEST_FIELDS)
    )
    return compile_statement(entries[SCAN_WINDOW - 1 : SCAN_WINDOW])


def _compile_newest_until() -> Statement:
    return compile_statement(_newest_first().filter(pk__lte=QueryParameter("until"))[:1])


def _latest_position() -> "Position":
    """Return the position of the last entry before which no transaction can still add one."""
    watermark = safe_watermark()
    entries = _newest_first() if watermark is None else _newest_first().filter(pk__lte=watermark)
    return next((entry.position for entry in _parse_entries(entries[:1])), Position())


def encode_cursor(position: Position) -> str:
    """Return the cursor of a reader that has read up to this position."""
    event_id, digest = position.event_id, position.digest
    return f"{event_id}:{digest}{_signer.signature(_signed_text(event_id, digest))}"


def cursor_of(event: EnrollmentEvent) -> str:
    """Return the cursor of a reader that has read up to this entry."""
    return encode_cursor(Position(event.pk, digest_of(*(getattr(event, name) for name in DIGEST_FIELDS))))


def _signed_text(event_id: object, digest: str) -> str:
    return f"{event_id}.{digest}" if digest else str(event_id)


def digest_of(enrollment_id: int, action: str, at: datetime | str, request_id: str) -> str:
    """Return the digest of an entry with these values of the fields ``DIGEST_FIELDS``. A text in ``at`` is in UTC."""
    if isinstance(at, str):  # the format in which SQLite stores instants, in UTC
        at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    text = f"{enrollment_id} {action} {at.astimezone(UTC).isoformat()} {request_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def decode_cursor(cursor: str) -> Position:
    """Return the position in a cursor; raise ``ValidationError`` if the text is not a cursor of this feed."""
    if not cursor:
        return Position()
    event_id, _colon, rest = cursor.partition(":")
    digest, signature = rest[:-SIGNATURE_LENGTH], rest[-SIGNATURE_LENGTH:]
    try:
        _signer.unsign(f"{_signed_text(event_id, digest)}:{signature}")
        return Position(int(event_id), digest)
    except (signing.BadSignature, ValueError):
        message = _("This cursor does not belong to the change feed. Start without a cursor.")
        raise ValidationError({"after": ValidationError(message, code="invalid_cursor")}) from None


def verify_position(position: Position, entries: Sequence[Entry]) -> Position:
    """
    Return the position with the digest of its entry; raise ``Refused`` if that entry is missing or has another digest.

    ``entries`` has the entry with the position's id, if there is one.
    """
    if not position.event_id:
        return position
    digests = [entry.position.digest for entry in entries]
    if not digests or position.digest not in ("", *digests):
        message = _("The changes after this cursor have been deleted. Read all data, then start without a cursor.")
        raise Refused([Refusal("cursor_expired", message, _("Cursor has expired"))])
    return Position(position.event_id, digests[0])
