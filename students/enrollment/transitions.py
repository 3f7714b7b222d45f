"""The status transitions of acts: their starting statuses, their resulting status, and acts without effect."""

from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.context import DecisionContext
from students.models import ENDED, LEFT, OPEN, Action, Status

# The code of the rule whose waiver gives a seat above the capacity and ahead of the waitlist.
COURSE_FULL = "course_full"

# The statuses in which an action is possible. A student that returns after an ended enrollment enrolls again.
ALLOWED_FROM: dict[str, tuple[str, ...]] = {
    Action.DROP: OPEN,
    Action.COMPLETE: (Status.ENROLLED, Status.COMPLETED),
}


def allowed_actions(status: str) -> str:
    """Return the labels of the actions possible in a status, separated by commas; "" if there are none."""
    actions = [] if status in ENDED else [Action(action) for action, starts in ALLOWED_FROM.items() if status in starts]
    return ", ".join(str(action.label) for action in actions)


def can_take_seat(act: EnrollmentCommand, register: DecisionContext) -> bool:
    """Return True if the act can take a seat: one is free, and no waiting student has priority."""
    is_next = not register.waiting[act.course_id] or act.course_id in register.before_waitlist
    return register.has_seat(act.course_id) and is_next


def accepts_waitlist(act: EnrollmentCommand) -> bool:
    """Return True if the act may join the waitlist. An act that waives the capacity never waits."""
    return act.on_full == OnFull.WAITLIST and COURSE_FULL not in act.waive


def is_noop(act: EnrollmentCommand, register: DecisionContext) -> bool:
    """Return True if the requested state exists already: the act changes nothing, so repeating it is safe."""
    enrollment = register.latest.get(act.pair)
    if enrollment is None:
        return False
    match act.action:
        case Action.ENROLL:
            is_let_past_the_line = enrollment.status == Status.WAITLISTED and COURSE_FULL in act.waive
            return enrollment.is_open and not is_let_past_the_line
        case Action.DROP:
            return enrollment.status in LEFT
        case Action.COMPLETE:
            return enrollment.status == Status.COMPLETED and act.grade in (None, enrollment.grade)
    return False


def is_unconditional_noop(act: EnrollmentCommand, register: DecisionContext) -> bool:
    """Return True if the act requests only what exists already: no rule can refuse it."""
    return is_noop(act, register) and not act.waive and act.expected is None


def next_status(act: EnrollmentCommand, register: DecisionContext) -> Status:
    """
    Return the status after the act.

    A student who leaves a seat on or before the term's drop deadline is *dropped*; after it, *withdrawn*. A student who
    leaves the waitlist is always *dropped*. The undo of an act restores the status before it, or *dropped* if there was
    none: rows are never deleted.
    """
    match act.action:
        case Action.ENROLL:
            return Status.WAITLISTED if accepts_waitlist(act) and not can_take_seat(act, register) else Status.ENROLLED
        case Action.PROMOTE:
            return Status.ENROLLED
        case Action.COMPLETE:
            return Status.COMPLETED
        case Action.UNDO:
            last = register.last_acts.get(act.pair)
            return Status(last.from_status) if last and last.from_status else Status.DROPPED
    term = register.courses[act.course_id].term
    deadline = term.drop_deadline if term else None
    is_late = deadline is not None and register.today > deadline
    return Status.WITHDRAWN if is_late and register.status(act) == Status.ENROLLED else Status.DROPPED
