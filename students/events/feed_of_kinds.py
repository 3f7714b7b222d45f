"""
The change feed of several kinds: the changes of each kind in their order, merged by their times.

Between two kinds no order is promised. A reader has a position in each kind; a cursor has all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from django.core import signing

from school.access.row_scope import RowScope
from students.events.feed import (
    LATEST,
    Columns,
    Entry,
    Position,
    Reader,
    decode_cursor,
    invalid_cursor,
    latest_position,
    signer,
    wait_for_entries,
)
from students.events.kinds import ENROLLMENTS, KINDS, Kind

Positions = Mapping[Kind, Position]  # a kind that is missing is read from its beginning
SEPARATOR = "~"  # between the positions in a cursor


@dataclass(frozen=True, slots=True)
class PageOfKinds:
    """A page: pairs of a kind and an entry, the positions after the page, and whether more entries exist already."""

    entries: Sequence[tuple[Kind, Entry]]
    positions: Positions
    has_more: bool


def read_kinds(
    columns: Mapping[Kind, Columns],
    positions: Positions,
    limit: int,
    *,
    shape: str = "",
    wait: float = 0,
    row_scope: RowScope | None = None,
) -> PageOfKinds:
    """
    Return at most ``limit`` entries after the positions, of the kinds for which ``columns`` has the columns to read.

    The other parameters and the errors are those of ``feed.read_changes``. Positions in other kinds are kept.
    """
    readers = {kind: Reader(limit, read, shape, row_scope, kind) for kind, read in columns.items()}
    before = positions

    def read() -> PageOfKinds:
        nonlocal before
        page = _read_page(readers, before, limit)
        before = page.positions
        return page

    return wait_for_entries(read, wait)


def _read_page(readers: Mapping[Kind, Reader], before: Positions, limit: int) -> PageOfKinds:
    pages = {kind: reader.page(before.get(kind, Position())) for kind, reader in readers.items()}
    by_kind = [[(kind, entry) for entry in page.entries] for kind, (page, _position) in pages.items()]
    entries = list(islice(merge(*by_kind, key=lambda pair: pair[1].at), limit))
    after, has_more = dict(before), False
    read: dict[Kind, list[Entry]] = {kind: [] for kind in readers}
    for kind, entry in entries:
        read[kind].append(entry)
    for kind, (page, position) in pages.items():
        if len(read[kind]) == len(page.entries):
            after[kind] = position
            has_more = has_more or page.has_more
        else:
            has_more = True
            if read[kind]:
                after[kind] = read[kind][-1].position
    return PageOfKinds(entries, after, has_more)


def latest_positions(kinds: Sequence[Kind]) -> dict[Kind, Position]:
    """Return the newest position in each kind before which no transaction can still add an entry."""
    return {kind: latest_position(kind) for kind in kinds}


def positions_after(cursor: str, kinds: Sequence[Kind]) -> Positions:
    """Return the positions in a cursor, or the latest ones for "latest"."""
    return latest_positions(kinds) if cursor == LATEST else decode_positions(cursor)


def encode_positions(positions: Positions) -> str:
    """Return the cursor of a reader that has read up to these positions."""
    parts = [f"{kind.letter}{positions[kind]}" for kind in KINDS.values() if kind in positions]
    return signer.sign(SEPARATOR.join(parts))


def decode_positions(cursor: str) -> Positions:
    """
    Return the positions in a cursor, also of the feed of enrollments alone; raise ``ValidationError`` for another text.
    """
    letters = {kind.letter: kind for kind in KINDS.values()}
    if cursor[:1] not in letters:
        return {ENROLLMENTS: decode_cursor(cursor)} if cursor else {}
    try:
        parts = signer.unsign(cursor).split(SEPARATOR)
    except signing.BadSignature:
        raise invalid_cursor() from None
    positions = {}
    for part in parts:
        event_id, _dot, digest = part[1:].partition(".")
        positions[letters[part[0]]] = Position(int(event_id), digest)
    return positions
