"""
Refusing a full course without its lock.

While a hot course gives its last seats, everybody who asks for one waits for the lock; once it has none left, those who
ask would still wait for each other to hear the same. To refuse takes no lock: seats and capacity are read in one
statement, so the course was full at that instant, and an answer that was true then is as good as any. To give a seat
does take it.
"""

from time import monotonic

from students.acts import Act, OnFull, Origin, Outcome
from students.enrollment.ledger import Ledger
from students.facts import look
from students.models import Action
from students.register import Register
from students.transitions import COURSE_FULL

REMEMBERED = 5.0  # seconds that a course is first looked at, after it was found full
MOST = 10_000

_full: dict[int, float] = {}  # until when, by course


def remember(outcome: Outcome) -> None:
    """Note that a course was found full: whoever asks for it next may be refused at a glance."""
    if _is_full(outcome):
        if len(_full) >= MOST:
            _full.clear()
        _full[outcome.act.course_id] = monotonic() + REMEMBERED


def at_a_glance(act: Act, origin: Origin) -> Ledger | None:
    """Return the ledger of an act that is refused because the course is full; None where it has to wait its turn."""
    is_plain = act.action == Action.ENROLL and act.on_full == OnFull.REJECT and not act.waive and act.expected is None
    if not is_plain or _full.get(act.course_id, 0) < monotonic():
        return None
    ledger = Ledger(Register(), origin)
    look(act, ledger.register, origin)
    ledger.decide(act)
    return ledger if _is_full(ledger.outcomes[0]) else None


def _is_full(outcome: Outcome) -> bool:
    return any(refusal.code == COURSE_FULL for refusal in outcome.refusals)
