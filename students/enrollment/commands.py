"""Commands (requested changes of a student's enrollment in a course), their actors and their outcomes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from school.access.row_scope import RowScope
from school.refusals import Refusal
from students.models import Action, Channel, StudentCourse


class OnFull(StrEnum):
    """Says what a command to enroll does if no seat is free."""

    REJECT = "reject"
    WAITLIST = "waitlist"


class EnrollmentCommand(NamedTuple):
    """
    A requested change. ``grade`` None leaves the grade unchanged.

    ``waived_codes`` has the codes of rules to override for this command; it requires a ``reason``, and an actor that
    may waive rules. ``only_if_changed_by_import`` has the id of an import if the command may only undo a change by that
    import. ``if_version`` has an id and a version if the command is valid only for the enrollment with this id in this
    version.
    """

    action: Action
    student_id: int
    course_id: int
    grade: str | None = None
    reason: str = ""
    on_full: OnFull = OnFull.REJECT
    waived_codes: frozenset[str] = frozenset()
    only_if_changed_by_import: int | None = None
    if_version: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.student_id, self.course_id


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


class Outcome(NamedTuple):
    """
    The result of a command: the enrollment was changed (``changed``), was already as requested, or the command was
    refused for the reasons in ``refusals``.

    ``created`` is True if the command began a new enrollment. A waitlisted enrollment that gets a seat by a waiver is
    changed, not created.
    """

    command: EnrollmentCommand
    enrollment: StudentCourse | None
    changed: bool
    refusals: tuple[Refusal, ...] = ()
    created: bool = False

    @property
    def accepted(self) -> bool:
        return not self.refusals
