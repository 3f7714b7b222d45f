"""
Refuses enrollments in a full course without locking the course.

When a popular course has no seats left, requests would still wait for the lock of the course one after the other, only
to be refused. A refusal needs no lock: one statement reads seats and capacity, so the course was full at that instant.
Only giving a seat needs the lock.
"""

from time import monotonic

from students.enrollment.batch import Ledger
from students.enrollment.commands import Act, OnFull, Origin, Outcome
from students.enrollment.context import Register
from students.enrollment.loading import look
from students.enrollment.transitions import COURSE_FULL
from students.models import Action

REMEMBERED = 5.0  # seconds
MOST = 10_000  # courses

_full_until: dict[int, float] = {}  # by course id, in this process; times of ``monotonic``


def remember(outcome: Outcome) -> None:
    """If the outcome is that a course is full, remember it, so that ``at_a_glance`` may refuse the next acts in it."""
    if _is_full(outcome):
        if len(_full_until) >= MOST:
            _full_until.clear()
        _full_until[outcome.act.course_id] = monotonic() + REMEMBERED


def at_a_glance(act: Act, origin: Origin) -> Ledger | None:
    """Return the ledger of an act that is refused because the course is full; None if it must wait for the lock."""
    is_plain = act.action == Action.ENROLL and act.on_full == OnFull.REJECT and not act.waive and act.expected is None
    if not is_plain or _full_until.get(act.course_id, 0) < monotonic():
        return None
    ledger = Ledger(Register(), origin)
    look([act], ledger.register, origin)
    ledger.decide(act)
    return ledger if _is_full(ledger.outcomes[0]) else None


def _is_full(outcome: Outcome) -> bool:
    return any(refusal.code == COURSE_FULL for refusal in outcome.refusals)
