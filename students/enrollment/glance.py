"""
Refusing a full course without its lock.

While a hot course gives its last seats, everybody who asks for one waits for the lock; once it has none left, those who
ask would still wait for each other to hear the same. To refuse takes no lock: seats and capacity are read in one
statement, so the course was full at that instant, and an answer that was true then is as good as any. To give a seat
does take it.
"""

from students.acts import Act, OnFull, Origin, Outcome
from students.enrollment.lately import Lately
from students.enrollment.ledger import Ledger
from students.facts import look
from students.models import Action
from students.register import Register
from students.transitions import COURSE_FULL

_full = Lately()


def remember(outcome: Outcome) -> None:
    """Note that a course was found full: whoever asks for it next may be refused at a glance."""
    if _is_full(outcome):
        _full.note(outcome.act.course_id)


def at_a_glance(act: Act, origin: Origin) -> Ledger | None:
    """Return the ledger of an act that is refused because the course is full; None where it has to wait its turn."""
    is_plain = act.action == Action.ENROLL and act.on_full == OnFull.REJECT and not act.waive and act.expected is None
    if not is_plain or not _full.has(act.course_id):
        return None
    ledger = Ledger(Register(), origin)
    look(act, ledger.register, origin)
    ledger.decide(act)
    return ledger if _is_full(ledger.outcomes[0]) else None


def _is_full(outcome: Outcome) -> bool:
    return any(refusal.code == COURSE_FULL for refusal in outcome.refusals)
