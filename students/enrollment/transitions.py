"""
The status transitions: the statuses in which an action is allowed, the status that follows, and commands without
effect.
"""

from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.models import ENDED_STATUSES, LEFT_STATUSES, OPEN_STATUSES, Action, Status

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
ENROLLED, WAITLISTED = Status.ENROLLED, Status.WAITLISTED
ENROLL, UNDO = Action.ENROLL, Action.UNDO

# The code of the rule that a seat must be free. Its waiver gives a seat above the capacity and ahead of the waitlist.
COURSE_FULL = "course_full"

# Maps each action to the statuses in which it is possible. A student whose enrollment has ended can enroll again.
ALLOWED_FROM: dict[str, tuple[str, ...]] = {
    Action.DROP: OPEN_STATUSES,
    Action.COMPLETE: (ENROLLED, Status.COMPLETED),
}


def is_allowed(action: str, status: str) -> bool:
    """Return True if the action is possible in a status: False for a completion of a waitlisted student."""
    return action not in ALLOWED_FROM or status in ALLOWED_FROM[action]


def allowed_actions(status: str) -> str:
    """Return the labels of the actions possible in a status, separated by commas; "" if there are none."""
    actions = (
        []
        if status in ENDED_STATUSES
        else [Action(action) for action, statuses in ALLOWED_FROM.items() if status in statuses]
    )
    return ", ".join(str(action.label) for action in actions)


def can_take_seat(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the command can take a seat: one is free, and no waitlisted student has priority."""
    is_next = not context.waitlist_lengths[command.course_id] or command.course_id in context.before_waitlist
    return context.has_seat(command.course_id) and is_next


def accepts_waitlist(command: EnrollmentCommand) -> bool:
    """Return True if the student may join the waitlist. A command that waives the capacity never waits."""
    return command.on_full == OnFull.WAITLIST and COURSE_FULL not in command.waived_codes


def keeps_status(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """
    Return True if a command to enroll is about an open enrollment, and gives it no seat by a waiver.

    As a swap it changes the other course, or the wish of a waitlisted student. Otherwise it changes nothing.
    """
    status = context.status(command) if command.action == ENROLL else ""
    return status == ENROLLED or (status == WAITLISTED and COURSE_FULL not in command.waived_codes)


def is_noop(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the requested state exists already: the command changes nothing, so repeating it is safe."""
    enrollment = context.latest_enrollments.get(command.key)
    if enrollment is None:
        return False
    match command.action:
        case Action.ENROLL:
            return keeps_status(command, context) and _is_swapped(command, context)
        case Action.DROP:
            return enrollment.status in LEFT_STATUSES
        case Action.COMPLETE:
            return enrollment.status == Status.COMPLETED and command.grade in (None, enrollment.grade)
    return False


def _is_swapped(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if a command to enroll is no swap, or if the open enrollment has its wish or began by this swap."""
    if command.instead_of is None:
        return True
    enrollment = context.latest_enrollments[command.key]
    if enrollment.status == WAITLISTED:
        return enrollment.instead_of_id == command.instead_of
    return (command.student_id, command.instead_of, command.course_id) in context.swapped


def is_unconditional_noop(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the command requests only what exists already: no rule can refuse it."""
    return is_noop(command, context) and not command.waived_codes and command.if_version is None


def next_status(command: EnrollmentCommand, context: DecisionContext) -> Status:
    """
    Return the status after the command.

    A student who leaves a seat on or before the term's drop deadline is *dropped*; after it, *withdrawn*. A student who
    leaves the waitlist is always *dropped*. An undo restores the status before the undone change, or *dropped* if there
    was none: rows are never deleted.
    """
    match command.action:
        case Action.ENROLL:
            if command.instead_of is not None and keeps_status(command, context):
                return Status(context.status(command))
            return WAITLISTED if accepts_waitlist(command) and not can_take_seat(command, context) else ENROLLED
        case Action.PROMOTE:
            return ENROLLED
        case Action.COMPLETE:
            return Status.COMPLETED
        case Action.UNDO:
            last = context.last_events.get(command.key)
            return Status(last.from_status) if last and last.from_status else Status.DROPPED
    term = context.courses[command.course_id].term
    deadline = term.drop_deadline if term else None
    is_late = deadline is not None and context.today > deadline
    return Status.WITHDRAWN if is_late and context.status(command) == ENROLLED else Status.DROPPED


def gains_seat(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the command asks for a seat that the student does not have. An undo may do so."""
    return command.action != UNDO or (next_status(command, context) == ENROLLED and context.status(command) != ENROLLED)


def reopens(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if an undo makes an ended enrollment open again."""
    return context.status(command) in ENDED_STATUSES and next_status(command, context) in OPEN_STATUSES
