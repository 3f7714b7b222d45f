"""Lines of the change feed of several kinds, as JSON, for any reader: requests, commands and webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from django.db.models import F

from courses.prerequisites import visible_codes
from school.access.row_scope import RowScope
from school.api.row_json import RowTemplate
from students.api.serializers import line_template
from students.events.feed import Columns, Entry, Position
from students.events.feed_of_kinds import Positions, read_kinds
from students.events.kinds import Kind


class Line(NamedTuple):
    """
    A line: its kind, type (``student.created``), id, time and JSON, and the position of a reader that has read it.

    The id is unique within the kind, and never changes.
    """

    kind: Kind
    type: str
    id: int
    at: datetime
    position: Position
    json: str


@dataclass(frozen=True, slots=True)
class LinePage:
    """A page of lines, the positions after it, and whether more lines exist already."""

    lines: Sequence[Line]
    positions: Positions
    has_more: bool


def read_lines(
    kinds: Sequence[Kind],
    positions: Positions,
    limit: int,
    *,
    wait: float = 0,
    row_scope: RowScope | None = None,
    with_names: bool = True,
) -> LinePage:
    """
    Return at most ``limit`` (at most 500) lines of these kinds after the positions.

    ``positions`` maps kinds (``students.events.kinds.KINDS`` has them by name) to positions; a kind without a position
    is read from its beginning, and ``students.events.feed_of_kinds.latest_positions`` has the newest safe positions.
    ``encode_positions`` and ``decode_positions`` of that module convert positions to a signed cursor and back. A reader
    that stops after a line continues from ``{**positions, line.kind: line.position}``.

    Lines of a kind are in the order of their ids, and no line can appear before one that was read. Lines of different
    kinds are merged by their times. With ``row_scope`` there are only the lines within it, and the positions pass the
    others; a page may then be empty although ``has_more`` is True. A scope of certain courses only:
    ``RowScope(account_id, frozenset(), courses, terms_of_courses)``. Without ``with_names`` the lines of enrollments
    have only the id of the student, and no reason; the kind ``students`` always has personal data.

    Raise ``Refused`` (``cursor_expired``) if the change at a position no longer exists.
    """
    is_limited = row_scope is not None and row_scope.is_client
    templates = {kind: line_template(kind.name, is_limited=is_limited, with_names=with_names) for kind in kinds}
    columns = {kind: _columns(template) for kind, template in templates.items()}
    shape = f"line {is_limited} {with_names}"
    page = read_kinds(columns, positions, limit, shape=shape, wait=wait, row_scope=row_scope)
    reader = _LineReader(row_scope)
    lines = [_line(kind, entry, templates[kind], reader) for kind, entry in page.entries]
    return LinePage(lines, page.positions, page.has_more)


def _columns(template: RowTemplate) -> Columns:
    return lambda: [F("type"), *template.expressions]


def _line(kind: Kind, entry: Entry, template: RowTemplate, reader: "_LineReader") -> Line:
    kind_of_change, *columns = entry.columns
    at = entry.at if isinstance(entry.at, datetime) else datetime.fromisoformat(entry.at).replace(tzinfo=UTC)
    return Line(kind, kind_of_change, entry.id, at, entry.position, template.render(reader, columns))


class _LineReader:
    """Has the attribute of a request that computed fields read: the codes of the courses that a reader sees."""

    def __init__(self, row_scope: RowScope | None) -> None:
        self.row_scope = row_scope

    @cached_property
    def visible_codes(self) -> Any:
        return visible_codes(self.row_scope)
