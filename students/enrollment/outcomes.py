"""The outcome of an enrollment command."""

from typing import NamedTuple

from school.refusals import Refusal
from students.enrollment.commands import EnrollmentCommand
from students.models import StudentCourse


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
