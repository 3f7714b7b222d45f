"""What an act leads to: from which statuses it starts, which one it ends in, and whether it is done already."""

from students.acts import Act, OnFull
from students.models import ENDED, LEFT, OPEN, Action, Status
from students.register import Register

# The code of the rule whose waiver gives a seat over the capacity and past the line.
COURSE_FULL = "course_full"

# The statuses that an action leads away from. Ended enrollments are not among them: who comes back enrolls anew.
STARTING_POINTS: dict[str, tuple[str, ...]] = {
    Action.DROP: OPEN,
    Action.COMPLETE: (Status.ENROLLED, Status.COMPLETED),
}


def possible_from(status: str) -> str:
    """Name what can become of an enrollment, "" for nothing."""
    actions = (
        [] if status in ENDED else [Action(action) for action, starts in STARTING_POINTS.items() if status in starts]
    )
    return ", ".join(str(action.label) for action in actions)


def may_take_seat(act: Act, register: Register) -> bool:
    """Tell whether a seat is there for who enrolls: free, and nobody waits for it."""
    return register.has_seat(act.course_id) and not register.waiting[act.course_id]


def may_wait(act: Act) -> bool:
    """Tell whether who enrolls would rather wait than be refused, or be let in over the capacity."""
    return act.on_full == OnFull.WAITLIST and COURSE_FULL not in act.waive


def is_done_already(act: Act, register: Register) -> bool:
    """Tell whether the act asks for what is so already: then it changes nothing, and repeating it is safe."""
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


def is_settled(act: Act, register: Register) -> bool:
    """Tell whether the act asks for nothing but what is so already: then no rule has anything to say."""
    return is_done_already(act, register) and not act.waive and act.expected is None


def status_after(act: Act, register: Register) -> Status:
    """
    Return the status that the act leads to.

    Who leaves a seat by the term's drop deadline has dropped, who leaves later has withdrawn. Undone, an act leads
    back to where it came from, and to dropped where there was nothing before: rows are kept.
    """
    match act.action:
        case Action.ENROLL:
            return Status.WAITLISTED if may_wait(act) and not may_take_seat(act, register) else Status.ENROLLED
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
