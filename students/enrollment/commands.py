"""Commands: requested changes of a student's enrollment in a course."""

from enum import StrEnum
from typing import NamedTuple

from students.models import Action


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
    version. ``instead_of`` has the id of a course for a swap: the student leaves it when the command, or a later
    promotion, gives the student a seat.
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
    instead_of: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.student_id, self.course_id
