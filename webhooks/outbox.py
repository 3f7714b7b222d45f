"""
The messages of an endpoint, read from the change feed.

The feed is the outbox: an endpoint is a position in each of its kinds, and no message is stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db.models import F
from rest_framework import serializers

from courses.models import Course
from school.access.row_scope import RowScope, filter_by_scope, row_scope_of_client
from school.api.row_json import Instant, RowTemplate, row_template
from students.api.serializers import change_template
from students.api.serializers.changes import ChangeSerializer
from students.events.feed import LATEST, Position, decode_cursor, encode_cursor, read_changes
from students.models import Action, Status, Student
from webhooks.models import Endpoint

NAMES_SCOPE = "students:read"
# The scope and the permission that every endpoint requires, and those that a kind requires in addition.
ACCESS = ("changes:read", "students.view_enrollmentevent")
KIND_ACCESS: dict[str, tuple[str, str]] = {}
KINDS = ("enrollments", *KIND_ACCESS)

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
    position = decode_cursor(read_changes(LATEST, 1).cursor)
    return {kind: [position.event_id, position.digest] for kind in kinds}


def positions_of(cursor: str, kinds: Sequence[str]) -> Positions:
    """Return the positions in a cursor of the feed; raise ``ValidationError`` for another text."""
    position = decode_cursor(cursor)
    return {kind: [position.event_id, position.digest] for kind in kinds}


def read_messages(endpoint: Endpoint, limit: int) -> MessagePage:
    """
    Return at most ``limit`` messages after the positions of an endpoint.

    Raise ``AccessLost``, or ``Refused`` if the entries after a position have been deleted.
    """
    check_access(endpoint)
    row_scope = _row_scope_of(endpoint)
    with_names = endpoint.client is None or NAMES_SCOPE in endpoint.client.scope.split()
    is_limited = row_scope is not None and row_scope.is_client
    template = change_template(is_limited=is_limited) if with_names else _template_without_names(is_limited=is_limited)
    page = read_changes(
        encode_cursor(Position(*endpoint.positions.get("enrollments", ()))),
        limit,
        lambda: [F("from_status"), F("to_status"), Instant(F("at")), *template.expressions],
        shape=f"webhook {is_limited} {with_names}",
        row_scope=row_scope,
    )
    messages = [_message(each.position, each.digest_values[1], each.columns, template) for each in page.entries]
    after = decode_cursor(page.cursor)
    return MessagePage(messages, {"enrollments": [after.event_id, after.digest]}, page.has_more)


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


class _StudentIdSerializer(serializers.ModelSerializer[Student]):
    class Meta:
        model = Student
        fields = ["id"]


class _ChangeWithoutNamesSerializer(ChangeSerializer):
    student = _StudentIdSerializer(source="enrollment.student", read_only=True)  # type: ignore[assignment]


@cache
def _template_without_names(*, is_limited: bool) -> RowTemplate:
    return row_template(_ChangeWithoutNamesSerializer(), is_limited=is_limited)


def _message(position: Position, action: str, columns: Sequence[Any], template: RowTemplate) -> Message:
    from_status, to_status, at, *line = columns
    kind_of_change = f"enrollment.{_type_of(action, from_status, to_status)}"
    body = f'{{"type":"{kind_of_change}","timestamp":"{at}","data":{template.render(None, line)}}}'
    return Message(
        f"enrollments_{position.event_id}_{position.digest}",
        kind_of_change,
        "enrollments",
        [position.event_id, position.digest],
        body.encode(),
    )


def _type_of(action: str, from_status: str, to_status: str) -> str:
    match action:
        case Action.ENROLL if to_status == Status.WAITLISTED:
            return "waitlisted"
        case Action.ENROLL:
            return "promoted" if from_status == Status.WAITLISTED else "created"
        case Action.DROP:
            return to_status
        case Action.COMPLETE:
            return "regraded" if from_status == Status.COMPLETED else "completed"
        case Action.PROMOTE:
            return "promoted"
        case Action.UNDO:
            return "undone"
        case Action.PASS_OVER:
            return "passed_over"
    return "adopted"


def ping_message(message_id: str, now: datetime) -> Message:
    """Return the message of a ping, which carries no data."""
    instant = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = f'{{"type":"ping","timestamp":"{instant}","data":{{}}}}'
    return Message(message_id, "ping", "", [], body.encode())
