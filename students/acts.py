"""What somebody wants to happen to a student's place in a course, who wants it, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from school.refusals import Refusal
from students.models import Action, Channel, StudentCourse


class OnFull(StrEnum):
    """What is wanted where no seat is free."""

    REJECT = "reject"
    WAITLIST = "waitlist"


class Act(NamedTuple):
    """
    What somebody wants. ``grade`` None leaves the grade as it is.

    ``waive`` has the codes of the rules that shall not stand in the way of this one act; it takes a ``reason``, and an
    origin that may. ``of_import`` is of who undoes what an import has done, and nothing else: its id. ``expected`` has
    the id and the version of the enrollment that the act is meant for, where it is meant for no other.
    """

    action: Action
    student_id: int
    course_id: int
    grade: str | None = None
    reason: str = ""
    on_full: OnFull = OnFull.REJECT
    waive: frozenset[str] = frozenset()
    of_import: int | None = None
    expected: tuple[int, int] | None = None

    @property
    def pair(self) -> tuple[int, int]:
        return self.student_id, self.course_id


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, through which door or import, and when: what the journal keeps of every act. ``at`` None is now."""

    channel: Channel
    actor_id: int | None = None
    request_id: str = ""
    at: datetime | None = None
    may_waive: bool = False
    import_id: int | None = None


class Outcome(NamedTuple):
    """What became of an act: ``changed`` or left as it was, or refused with every reason."""

    act: Act
    enrollment: StudentCourse | None
    changed: bool
    refusals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.refusals
