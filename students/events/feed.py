"""
The change feed: all entries of a kind, in an order in which no entry can appear before one that was already read.

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
from typing import Any, NamedTuple, Protocol, TypeVar

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
from students.events.kinds import ENROLLMENTS, Kind
from students.models import EnrollmentEvent

LATEST = "latest"
DIGEST_LENGTH = 16  # the number of digits that are used, of the 64 hexadecimal digits of SHA-256
# The number of entries that are scanned for a page of a limited caller, who may see only few of them.
SCAN_WINDOW = 1_000
POLL_INTERVAL = 0.25  # seconds between two queries of a waiting request

signer = signing.Signer(salt="changes")
SIGNATURE_LENGTH = len(signer.signature(""))
_long_poll_slots = threading.BoundedSemaphore(settings.CHANGES_WAITERS)


# A function that returns the query expressions for the columns that the caller reads. It is called once for each
# ``shape``.
Columns = Callable[[], Sequence[Any]]


class Entry(NamedTuple):
    """An entry: its id, the values of the kind's ``digest_fields``, and the columns that the caller reads."""

    id: int
    digest_values: Row
    columns: Row

    @property
    def position(self) -> "Position":
        return Position(self.id, digest_of(*self.digest_values))

    @property
    def at(self) -> Any:
        """The time of the change, as the database returns it: on SQLite a text."""
        return self.digest_values[2]

    @property
    def cursor(self) -> str:
        """The cursor of a reader that has read up to this entry."""
        return encode_cursor(self.position)


class Page(Protocol):
    """A page of one or several kinds of changes."""

    @property
    def entries(self) -> Sequence[Any]: ...

    @property
    def has_more(self) -> bool: ...


P = TypeVar("P", bound=Page)


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

    def __str__(self) -> str:
        """Return the text that a cursor signs."""
        return f"{self.event_id}.{self.digest}" if self.digest else str(self.event_id)


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

    Raise ``ValidationError`` if ``after`` is not a cursor of this feed, ``Refused`` if it has expired, and
    ``OperationalError`` on a standby that has newer entries, or lacks the entry of the cursor.
    """
    reader = Reader(limit, columns, shape, row_scope)
    position = latest_position(ENROLLMENTS) if after == LATEST else decode_cursor(after)

    def read() -> FeedPage:
        nonlocal position
        page, position = reader.page(position)
        return page

    return wait_for_entries(read, 0 if after == LATEST else wait)


def wait_for_entries(read: Callable[[], P], wait: float) -> P:
    """Return the first page that ``read`` returns, or the first one with changes within ``wait`` seconds."""
    page = read()
    if page.entries or page.has_more or not wait or not _long_poll_slots.acquire(blocking=False):
        return page
    try:
        deadline = time.monotonic() + wait
        while not (page.entries or page.has_more) and (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL_INTERVAL, remaining))
            page = read()
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
    kind: Kind = ENROLLMENTS

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
        table = self.kind.table
        window = self._get("window", _compile_end_of_window).bind({"id": position.event_id})
        entries = self._entries_after(position.event_id)
        queries = [
            *([self._get("newest", _compile_newest).bind({}), window] if self.row_scope else []),
            entries,
            *([self._get("one", _compile_by_id).bind({"id": position.event_id})] if position.event_id else []),
        ]
        watermark = table.cached_watermark() if ON_POSTGRESQL else math.inf
        results = list(map(self._parse, run_statements(queries)))
        newest, window_end = (results.pop(0), results.pop(0)) if self.row_scope else ([], [])
        following, *current = results
        if self.row_scope and not ON_POSTGRESQL:
            # SQLite's writers commit one after the other, so every entry up to the newest one is visible. Later entries
            # are for the next page.
            watermark = max((entry.id for entry in newest), default=0)
        elif max((entry.id for entry in [*following, *newest]), default=0) > watermark:
            # Read again after the watermark: all entries up to it are visible to every later query.
            last_id, lowest_marker, *reread = run_statements(
                [*table.watermark_queries, entries, *([window] if self.row_scope else [])]
            )
            watermark, following = table.watermark_from([last_id, lowest_marker]), self._parse(reread[0])
            window_end = self._parse(reread[1]) if self.row_scope else []
            if newest:
                newest = self._parse(self._get("newest until", _compile_newest_until).run({"until": watermark}))
        if position.event_id and not current[0]:
            table.safe_watermark()  # this fails on a standby, which may not have the entry yet
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
            ("after", self.kind.name, self.shape, is_limited, row_limit), lambda: self._compile_entries(row_limit)
        )
        scope_values = RowScopeParameters.values_of(self.row_scope) if self.row_scope else {}
        return statement.bind({"id": event_id, **scope_values})

    def _compile_entries(self, row_limit: int) -> Statement:
        """
        Compile the query of the entries after an id.

        The query has no upper limit of ids: with one, PostgreSQL would expect few rows, and sort them. The window of a
        limited caller is a subquery of ids, which the database reads only until the page is full.
        """
        entries = self.kind.rows().filter(pk__gt=QueryParameter("id")).order_by("pk")
        if self.row_scope:
            window = _after(self.kind).values("pk")[:SCAN_WINDOW]
            entries = filter_by_scope(entries.filter(pk__in=window), RowScopeParameters)
        return compile_statement(entries.values_list(*_position_fields(self.kind), *self.columns())[:row_limit])

    def _get(self, name: str, compile_for: Callable[[Kind], Statement]) -> Statement:
        return _statements.get((name, self.kind.name), lambda: compile_for(self.kind))

    def _parse(self, rows: Iterable[Row]) -> list[Entry]:
        return _parse_entries(self.kind, rows)


_statements = StatementCache()


def _position_fields(kind: Kind) -> tuple[str, ...]:
    return "pk", *kind.digest_fields


def _parse_entries(kind: Kind, rows: Iterable[Row]) -> list[Entry]:
    width = 1 + len(kind.digest_fields)
    return [Entry(row[0], row[1:width], row[width:]) for row in rows]


def _all(kind: Kind) -> QuerySet[Any, Any]:
    return kind.rows().model._default_manager.all()


def _after(kind: Kind) -> QuerySet[Any, Any]:
    return _all(kind).filter(pk__gt=QueryParameter("id")).order_by("pk")


def _newest_first(kind: Kind) -> QuerySet[Any, Any]:
    return _all(kind).order_by("-pk").values_list(*_position_fields(kind))


def _compile_by_id(kind: Kind) -> Statement:
    return compile_statement(_newest_first(kind).filter(pk=QueryParameter("id")))


def _compile_newest(kind: Kind) -> Statement:
    return compile_statement(_newest_first(kind)[:1])


def _compile_end_of_window(kind: Kind) -> Statement:
    """Compile the query of the last entry in a window of ``SCAN_WINDOW`` entries."""
    return compile_statement(_after(kind).values_list(*_position_fields(kind))[SCAN_WINDOW - 1 : SCAN_WINDOW])


def _compile_newest_until(kind: Kind) -> Statement:
    return compile_statement(_newest_first(kind).filter(pk__lte=QueryParameter("until"))[:1])


def latest_position(kind: Kind) -> "Position":
    """Return the position of the last entry before which no transaction can still add one."""
    watermark = kind.table.safe_watermark()
    entries = _newest_first(kind) if watermark is None else _newest_first(kind).filter(pk__lte=watermark)
    return next((entry.position for entry in _parse_entries(kind, entries[:1])), Position())


def encode_cursor(position: Position) -> str:
    """Return the cursor of a reader that has read up to this position."""
    return f"{position.event_id}:{position.digest}{signer.signature(str(position))}"


def cursor_of(event: EnrollmentEvent) -> str:
    """Return the cursor of a reader that has read up to this entry."""
    return encode_cursor(Position(event.pk, digest_of(*(getattr(event, name) for name in ENROLLMENTS.digest_fields))))


def digest_of(object_id: int, action: str, at: datetime | str, *more: str) -> str:
    """Return the digest of an entry with these values of the kind's ``digest_fields``. A text in ``at`` is in UTC."""
    if isinstance(at, str):  # the format in which SQLite stores instants, in UTC
        at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    text = " ".join([str(object_id), action, at.astimezone(UTC).isoformat(), *more])
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def decode_cursor(cursor: str) -> Position:
    """Return the position in a cursor; raise ``ValidationError`` if the text is not a cursor of this feed."""
    if not cursor:
        return Position()
    event_id, _colon, rest = cursor.partition(":")
    digest, signature = rest[:-SIGNATURE_LENGTH], rest[-SIGNATURE_LENGTH:]
    try:
        signer.unsign(f"{event_id}.{digest}:{signature}" if digest else f"{event_id}:{signature}")
        return Position(int(event_id), digest)
    except (signing.BadSignature, ValueError):
        raise invalid_cursor() from None


def invalid_cursor() -> ValidationError:
    message = _("This cursor does not belong to the change feed. Start without a cursor.")
    return ValidationError({"after": ValidationError(message, code="invalid_cursor")})


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
