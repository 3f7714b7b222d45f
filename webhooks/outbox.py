"""
The messages of an endpoint, read from the change feed.

The feed is the outbox: an endpoint is a position in each of its kinds, and no message is stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from courses.models import Course
from school.access.row_scope import RowScope, filter_by_scope, row_scope_of_client
from students.api.change_lines import Line, read_lines
from students.api.changes import REQUIRED as KIND_ACCESS
from students.events import feed_of_kinds
from students.events.feed import Position
from students.events.feed_of_kinds import positions_after
from students.events.kinds import KINDS
from webhooks.models import Endpoint

NAMES_SCOPE = "students:read"
# The scope and the permission that every endpoint requires. KIND_ACCESS has those that a kind requires in addition.
ACCESS = ("changes:read", "students.view_enrollmentevent")

Positions = dict[str, list[Any]]  # by kind: the id and the digest of the last entry that was read


class AccessLost(Exception):
    """The client of the endpoint was revoked, or lacks a scope that the endpoint needs."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its ``webhook-id``, its body, and the position of an endpoint that has received it."""

    id: str
    type: str
    kind: str
    position: list[Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages in order, the positions after them, and whether more can be read immediately."""

    messages: Sequence[Message]
    positions: Positions
    has_more: bool


def required_access(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Return the scopes and permissions that an endpoint with these kinds requires: a pair for each."""
    return list(dict.fromkeys([ACCESS, *(KIND_ACCESS[kind] for kind in kinds if kind in KIND_ACCESS)]))


def latest_positions(kinds: Iterable[str]) -> Positions:
    """Return the newest position in each kind before which no transaction can still add an entry."""
    return _stored(feed_of_kinds.latest_positions([KINDS[kind] for kind in kinds]))


def positions_of(cursor: str, kinds: Iterable[str]) -> Positions:
    """
    Return the positions in a cursor of the feed; raise ``ValidationError`` for another text.

    A kind that the cursor does not have is read from its beginning.
    """
    positions = positions_after(cursor, [KINDS[kind] for kind in kinds])
    return {kind: _stored(positions).get(kind, [0, ""]) for kind in kinds}


def _stored(positions: feed_of_kinds.Positions) -> Positions:
    return {kind.name: [each.event_id, each.digest] for kind, each in positions.items()}


def read_messages(endpoint: Endpoint, limit: int) -> MessagePage:
    """
    Return at most ``limit`` messages after the positions of an endpoint.

    Raise ``AccessLost``, or ``Refused`` if the entries after a position have been deleted.
    """
    check_access(endpoint)
    row_scope = _row_scope_of(endpoint)
    with_names = endpoint.client is None or NAMES_SCOPE in endpoint.client.scope.split()
    kinds = [KINDS[kind] for kind in endpoint.kinds]
    positions = {kind: Position(*endpoint.positions.get(kind.name, ())) for kind in kinds}
    page = read_lines(kinds, positions, limit, row_scope=row_scope, with_names=with_names)
    return MessagePage([_message(line) for line in page.lines], _stored(page.positions), page.has_more)


def waiting_since(kind: str, position_id: int) -> datetime | None:
    """Return the time of the first change of a kind after a position, None if there is none."""
    rows, time_field = KINDS[kind].rows(), KINDS[kind].digest_fields[2]
    return rows.filter(pk__gt=position_id).order_by("pk").values_list(time_field, flat=True).first()


def lag_of(endpoints: Sequence[Endpoint]) -> float:
    """Return the age in seconds of the oldest change that one of the endpoints has not passed; 0 if there is none."""
    ids: dict[str, int] = {}
    for endpoint in endpoints:
        for kind in endpoint.kinds:
            position_id = endpoint.positions.get(kind, [0])[0]
            ids[kind] = min(ids.get(kind, position_id), position_id)
    instants = [since for kind, position_id in ids.items() if (since := waiting_since(kind, position_id))]
    return max((timezone.now() - min(instants)).total_seconds(), 0) if instants else 0


def check_access(endpoint: Endpoint) -> None:
    """Raise ``AccessLost`` if the client may not read all that the endpoint carries."""
    client = endpoint.client
    if client is None:
        return
    is_active = client.user is not None and client.user.is_active
    required = {scope for scope, _permission in required_access(endpoint.kinds)}
    if not is_active or required - set(client.scope.split()):
        raise AccessLost


def visible_course_ids(course_ids: Sequence[int], row_scope: RowScope | None) -> dict[int, int | None]:
    """Return those of the courses that lie within the scope, each with the id of its term."""
    courses = filter_by_scope(Course.objects.filter(pk__in=course_ids), row_scope)
    return dict(courses.values_list("pk", "term"))


def _row_scope_of(endpoint: Endpoint) -> RowScope | None:
    """Return the scope of the rows that an endpoint gets: those of its client, and of its courses."""
    row_scope = row_scope_of_client(endpoint.client) if endpoint.client else None
    if not endpoint.courses:
        return row_scope
    courses = visible_course_ids(endpoint.courses, row_scope)
    terms = frozenset(term for term in courses.values() if term is not None)
    account_id = row_scope.account_id if row_scope else 0
    return RowScope(account_id, frozenset(), frozenset(courses), terms, is_client=row_scope is not None)


def _message(line: Line) -> Message:
    position = [line.position.event_id, line.position.digest]
    message_id = f"{line.kind.name}_{line.id}_{line.position.digest}"
    return Message(message_id, line.type, line.kind.name, position, _body(line.type, line.at, line.json))


def _body(type_of_message: str, at: datetime, data: str) -> bytes:
    instant = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return f'{{"type":"{type_of_message}","timestamp":"{instant}","data":{data}}}'.encode()


def ping_message(message_id: str) -> Message:
    """Return the message of a ping, which carries no data."""
    return Message(message_id, "ping", "", [], _body("ping", timezone.now().replace(microsecond=0), "{}"))
