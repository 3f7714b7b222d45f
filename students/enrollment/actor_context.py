"""The person or client behind an enrollment command, and its channel."""

from dataclasses import dataclass
from datetime import datetime

from school.access.row_scope import RowScope
from students.models import Channel


@dataclass(frozen=True, slots=True)
class ActorContext:
    """
    The actor, channel, import, request and time of a command, which the journal stores.

    If ``at`` is None, the time is the current one. ``row_scope`` has the terms and courses that the caller is limited
    to: a message names no course outside of them.
    """

    channel: Channel
    actor_id: int | None = None
    request_id: str = ""
    at: datetime | None = None
    may_waive: bool = False
    import_id: int | None = None
    row_scope: RowScope | None = None
