"""
Refuses enrollments in a full course without locking the course.

When a popular course has no seats left, requests would still wait for the lock of the course one after the other, only
to be refused. A refusal needs no lock: one statement reads seats and capacity, so the course was full at that instant.
Only giving a seat needs the lock.
"""

from time import monotonic

from students.enrollment.actor_context import ActorContext
from students.enrollment.batch import EnrollmentBatch
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.enrollment.loading import load_unlocked
from students.enrollment.outcomes import Outcome
from students.enrollment.transitions import COURSE_FULL
from students.models import Action

TTL_SECONDS = 5.0
MAX_COURSES = 10_000

# Maps the id of a full course to the ``monotonic`` time until which this process remembers it.
_full_until: dict[int, float] = {}


def mark_if_full(outcome: Outcome) -> None:
    """Remember a course that an outcome reports as full, so that ``refuse_if_full`` can refuse the next requests."""
    if _is_full(outcome):
        if len(_full_until) >= MAX_COURSES:
            _full_until.clear()
        _full_until[outcome.command.course_id] = monotonic() + TTL_SECONDS


def refuse_if_full(command: EnrollmentCommand, actor: ActorContext) -> EnrollmentBatch | None:
    """Return the batch of a command that is refused because the course is full; None if it must wait for the lock."""
    can_refuse = (
        command.action == Action.ENROLL
        and command.on_full == OnFull.REJECT
        and not command.waived_codes
        and command.if_version is None
    )
    if not can_refuse or _full_until.get(command.course_id, 0) < monotonic():
        return None
    batch = EnrollmentBatch(DecisionContext(), actor)
    load_unlocked([command], batch.context, actor, promoting=False)
    batch.decide(command)
    return batch if _is_full(batch.outcomes[0]) else None


def _is_full(outcome: Outcome) -> bool:
    return any(refusal.code == COURSE_FULL for refusal in outcome.refusals)
