"""
The enrollment rules: pure functions of a command and the facts in the decision context.

A rule returns the reasons why the command is refused: one, several or none. It makes no queries, writes and logs
nothing, and uses the time of the context. All rules of an action are evaluated, so that a refusal lists all reasons.
"""

from contextlib import nullcontext
from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from courses.grades import unknown_grade_message
from courses.lookup import course_not_found
from courses.meetings import meeting_conflict
from courses.models import Course
from courses.prerequisites import list_items
from school.fields import format_credits
from school.i18n.stored_messages import format_instant
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, version_conflict
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext
from students.enrollment.rule import Rule, rule
from students.enrollment.transitions import (
    ALLOWED_FROM,
    COURSE_FULL,
    accepts_waitlist,
    allowed_actions,
    can_take_seat,
    gains_seat,
    is_noop,
    keeps_status,
    next_status,
    reopens,
)
from students.lookup import student_not_found
from students.models import ENDED_STATUSES, OPEN_STATUSES, Action, Status

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
PROMOTE, UNDO = Action.PROMOTE, Action.UNDO
COMPLETED, WAITLISTED = Status.COMPLETED, Status.WAITLISTED


@rule("student_inactive", gettext_lazy("Student is not active"))
def student_is_active(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Only active students can enroll."""
    if not context.student_is_active[command.student_id]:
        return _("This student is not active.")
    return None


@rule("on_hold", gettext_lazy("Student is on hold"), waivable=True)
def has_no_hold(command: EnrollmentCommand, context: DecisionContext) -> list[str]:
    """A student with a hold cannot enroll in the courses that it applies to. Each hold is a reason of its own."""
    # The message, which the journal keeps, names the code only: the reason of a hold is not for everybody.
    return [
        _("This student has the hold %(code)s.") % {"code": hold.code}
        for hold in context.holds.get(command.student_id, ())
        if hold.applies_to(context.courses[command.course_id].term_id, context.today)
    ]


@rule("course_inactive", gettext_lazy("Course is not active"))
def course_is_active(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Only active courses accept enrollments."""
    course = context.courses[command.course_id]
    if not course.is_active:
        return _("%(course)s is not active.") % {"course": course.code}
    return None


@rule("enrollment_not_open", gettext_lazy("Enrollment is not open yet"), waivable=True)
def enrollment_has_opened(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Enrollment in a course is possible from its `enrollment_opens_at`."""
    course = context.courses[command.course_id]
    if not course.has_opened(context.now):
        opens_at = format_instant(course.enrollment_opens_at)
        return _("Enrollment in %(course)s opens at %(instant)s.") % {"course": course.code, "instant": opens_at}
    return None


@rule("enrollment_closed", gettext_lazy("Enrollment is closed"), waivable=True)
def enrollment_has_not_closed(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Enrollment in a course is possible until its `enrollment_closes_at`."""
    course = context.courses[command.course_id]
    if course.has_closed(context.now):
        closed_at = format_instant(course.enrollment_closes_at)
        return _("Enrollment in %(course)s closed at %(instant)s.") % {"course": course.code, "instant": closed_at}
    return None


@rule("term_ended", gettext_lazy("Term has ended"), waivable=True)
def term_has_not_ended(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A course accepts no enrollments after the last day of its term."""
    course = context.courses[command.course_id]
    if course.term is None or context.today <= course.term.ends_on:
        return None
    values = {"course": course.code, "date": course.term.ends_on.isoformat()}
    return _("The term of %(course)s ended on %(date)s.") % values


@rule("prerequisite_missing", gettext_lazy("Prerequisite missing"), waivable=True)
def prerequisites_are_completed(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A student must have passed the prerequisites of a course, in any term."""
    course = context.courses[command.course_id]
    missing = [item for item in course.prerequisites if not context.meets(command.student_id, item)]
    if missing:
        # The refusal of a promotion names all codes, because the journal stores it for all of its readers.
        visible = None if command.action == PROMOTE else context.visible_codes
        values = {"course": course.code, "codes": list_items(missing, visible)}
        return _("%(course)s requires %(codes)s to be completed first.") % values
    return None


@rule("corequisite_missing", gettext_lazy("Corequisite missing"), waivable=True)
def corequisites_are_taken(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A student must take the corequisites of a course in the same term, or have passed them before."""
    course = context.courses[command.course_id]
    missing = [code for code in course.corequisites if not context.takes(command.student_id, code, course)]
    if not missing:
        return None
    visible = None if command.action == PROMOTE else context.visible_codes
    values = {"course": course.code, "codes": list_items(missing, visible)}
    return _("%(course)s requires %(codes)s to be taken in the same term or completed before.") % values


@rule("other_section", gettext_lazy("In another section"), waivable=True)
def no_other_section(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A student can be enrolled or waitlisted in only one section of a course in a term."""
    course = context.courses[command.course_id]
    other = context.other_courses.other_section(command.student_id, course)
    if not other or (command.action == UNDO and not reopens(command, context)):
        return None
    # A caller who sees only some courses does not learn the other section.
    if command.action == PROMOTE or context.visible_codes is None:
        message = _("This student is in another section of %(course)s already: %(section)s.")
        return message % {"course": course.code, "section": other.full_code}
    return _("This student is in another section of %(course)s already.") % {"course": course.code}


@rule("too_many_credits", gettext_lazy("Too many credits"), waivable=True)
def credits_are_within_maximum(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """The credits of a student in a term must not exceed the student's maximum, or else that of the term."""
    course, student_id = context.courses[command.course_id], command.student_id
    if not course.credits or not gains_seat(command, context):
        return None
    taken = context.other_courses.taken(student_id, course)
    maximum = context.other_courses.maximum(student_id, course)
    is_counted = command.action == UNDO and context.status(command) == COMPLETED
    if maximum is None or is_counted or taken + course.credits <= maximum:
        return None
    numbers = {"taken": taken, "maximum": maximum, "credits": course.credits}
    values = {name: format_credits(number) for name, number in numbers.items()}
    message = _("%(taken)s of %(maximum)s credits are taken; %(course)s has %(credits)s.")
    return message % {**values, "course": course.code}


@rule("time_conflict", gettext_lazy("Time conflict"), waivable=True)
def meets_at_another_time(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A course must not meet at the same time as another course in which the student is enrolled."""
    course = context.courses[command.course_id]
    if not course.meetings or not gains_seat(command, context):
        return None
    enrolled = context.other_courses.enrolled[command.student_id]
    others = [enrolled[pk] for pk in sorted(enrolled) if pk != course.pk]
    found = [(other.code, conflict) for other in others if (conflict := meeting_conflict(course, other))]
    if not found:
        return None
    visible = None if command.action == PROMOTE else context.visible_codes
    named = [f"{code} ({time})" for code, time in found if visible is None or code in visible]
    named += [str(time) for code, time in found if visible is not None and code not in visible]
    values = {"course": course.code, "courses": ", ".join(named)}
    return _("%(course)s meets at the same time as another course: %(courses)s.") % values


@rule(COURSE_FULL, gettext_lazy("Course is full"), waivable=True)
def seat_is_free(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """The course must have a free seat. Waitlisted students get free seats first."""
    course = context.courses[command.course_id]
    if can_take_seat(command, context) or accepts_waitlist(command):
        return None
    if context.has_seat(course.pk):
        return _("The free seats of %(course)s go to waitlisted students first.") % {"course": course.code}
    return _("%(course)s has no free seat.") % {"course": course.code}


@rule("waitlist_full", gettext_lazy("Waitlist is full"))
def waitlist_has_room(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """The waitlist must have room. Its limit is the `waitlist_capacity` of the course."""
    course = context.courses[command.course_id]
    capacity = course.waitlist_capacity
    if (
        next_status(command, context) != WAITLISTED
        or capacity is None
        or context.waitlist_lengths[course.pk] < capacity
    ):
        return None
    if capacity == 0:
        return _("%(course)s has no free seat and no waitlist.") % {"course": course.code}
    return _("The waitlist of %(course)s is full.") % {"course": course.code}


@rule(COURSE_FULL, gettext_lazy("Course is full"), waivable=True)
def seat_free_for_undo(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """An undo that would enroll a student again needs a free seat."""
    course = context.courses[command.course_id]
    if not gains_seat(command, context):
        return None
    return None if context.has_seat(course.pk) else _("%(course)s has no free seat.") % {"course": course.code}


@rule("not_enrolled", gettext_lazy("Not enrolled"))
def has_enrollment(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Only a student with an enrollment in the course can drop or complete it."""
    return None if context.status(command) else not_enrolled_refusal(context.courses[command.course_id]).message


def not_enrolled_refusal(course: Course) -> Refusal:
    """Return the refusal of a request for an enrollment that does not exist."""
    message = _("This student was never enrolled in %(course)s.") % {"course": course.code}
    return has_enrollment.refusal(message)


@rule("illegal_transition", gettext_lazy("Not possible in this state"))
def transition_allowed(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A change must be possible from the current status: only an enrolled student can complete a course."""
    status = context.status(command)
    if not status or status in ALLOWED_FROM[command.action]:
        return None
    values = {"status": Status(status).label, "action": command.action.label, "possible": allowed_actions(status)}
    if not values["possible"]:
        return _("The enrollment is %(status)s and cannot become %(action)s, because it has ended.") % values
    return _("The enrollment is %(status)s and cannot become %(action)s. Possible: %(possible)s.") % values


@rule("swap_with_itself", gettext_lazy("Same course"), field="instead_of")
def swap_names_two_courses(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A swap leads from one course to another one."""
    if command.instead_of != command.course_id:
        return None
    course = context.courses[command.course_id]
    return _("%(course)s cannot be swapped with itself.") % {"course": course.full_code}


@rule("not_enrolled", gettext_lazy("Not enrolled"), field="instead_of")
def swapped_course_has_seat(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """A student can swap only a course in which the student has a seat."""
    if command.instead_of in (None, command.course_id) or context.replaced(command.student_id, command.instead_of):
        return None
    course = context.courses[command.instead_of or 0]
    return _("This student is not enrolled in %(course)s.") % {"course": course.full_code}


@rule("unknown_grade", gettext_lazy("Unknown grade"), field="grade")
def grade_is_known(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """The grade of a completion must be in the table of grades, unless the table is empty."""
    grade, table = command.grade or "", context.grade_table
    return None if table.has(grade) else unknown_grade_message(grade, table)


@rule("illegal_transition", gettext_lazy("Not possible in this state"))
def has_undoable_event(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Only the last change of an enrollment can be undone, and an undo cannot be undone."""
    # The drop by an erasure cannot be undone: the erased student would have an open enrollment again.
    student = context.students.get(command.student_id)
    if (
        student
        and student.erased_at
        and context.status(command) in ENDED_STATUSES
        and next_status(command, context) in OPEN_STATUSES
    ):
        return _("The personal data of this student is erased, so an ended enrollment cannot be reopened.")
    last = context.last_events.get(command.key)
    is_undone = context.status(command) and (last is None or last.action == UNDO)
    return _("There is no change left to undo.") if is_undone else None


@rule("changed_since", gettext_lazy("Changed since the import"))
def unchanged_since_import(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """The undo of an import keeps enrollments that were changed after the import."""
    last = context.last_events.get(command.key)
    if command.only_if_changed_by_import is None or (last and last.file_import_id == command.only_if_changed_by_import):
        return None
    return _("It has been changed since the import.")


# The conditions for a seat in a course, for a new enrollment and for a promotion from the waitlist.
ELIGIBILITY = (
    student_is_active,
    has_no_hold,
    course_is_active,
    enrollment_has_opened,
    enrollment_has_not_closed,
    term_has_not_ended,
    prerequisites_are_completed,
    corequisites_are_taken,
    no_other_section,
    credits_are_within_maximum,
    meets_at_another_time,
)

# The conditions for a swap.
SWAP_RULES = (
    swap_names_two_courses,
    swapped_course_has_seat,
)

# The conditions for an undo that enrolls a student again.
UNDO_OF_LEAVING = (seat_free_for_undo, no_other_section, credits_are_within_maximum, meets_at_another_time)

RULES: dict[str, tuple[Rule, ...]] = {
    Action.ENROLL: (*ELIGIBILITY, seat_is_free, waitlist_has_room, *SWAP_RULES),
    Action.DROP: (has_enrollment, transition_allowed),
    Action.COMPLETE: (has_enrollment, transition_allowed, grade_is_known),
    UNDO: (has_enrollment, has_undoable_event, unchanged_since_import, *UNDO_OF_LEAVING),
    PROMOTE: ELIGIBILITY,
}

ALL_RULES: tuple[Rule, ...] = tuple(dict.fromkeys(each for rules in RULES.values() for each in rules))


WAIVABLE_CODES = frozenset(rule.code for rule in ALL_RULES if rule.waivable)


@dataclass(frozen=True, slots=True)
class Decision:
    """All reasons to refuse a command (none if it is accepted), and the codes of the rules that were waived."""

    refusals: tuple[Refusal, ...] = ()
    waived: tuple[str, ...] = ()

    @property
    def refusal_codes(self) -> list[str]:
        """The codes of the refusals, each once."""
        return list(dict.fromkeys(refusal.code for refusal in self.refusals))


def evaluate(command: EnrollmentCommand, context: DecisionContext) -> Decision:
    """Evaluate all rules of the command's action. Unknown ids and an unexpected version are refused first."""
    unknown = []
    if command.student_id not in context.student_is_active:
        unknown.append(student_not_found(command.student_id))
    if command.course_id not in context.courses:
        unknown.append(course_not_found(command.course_id))
    if command.instead_of is not None and command.instead_of not in context.courses:
        unknown.append(course_not_found(command.instead_of).with_field("instead_of"))
    if unknown:
        return Decision(tuple(unknown))
    if command.if_version and not version_matches(command, context):
        return Decision((version_conflict(),))
    waives_now = (
        command.waived_codes and command.action != PROMOTE
    )  # a promotion uses the waiver with which the student joined the waitlist
    objections = validate_waiver(command.waived_codes, command.reason, context.may_waive) if waives_now else []
    if is_noop(command, context):
        return Decision(tuple(objections))
    leaves = context.course_to_leave(command)
    with nullcontext() if leaves is None else context.without(command.student_id, leaves):
        # The checks are called directly, because most of them find nothing.
        found = [
            (each, messages) for each in _rules_for(command, context) if (messages := each.check(command, context))
        ]
        refusals = [refusal for each, messages in found for refusal in each.refusals(messages)]
    waived = command.waived_codes & WAIVABLE_CODES
    if command.action == UNDO:
        waived |= context.undo_waivers.get(command.key, frozenset())
    return Decision(
        (*objections, *(refusal for refusal in refusals if refusal.code not in waived)),
        tuple(dict.fromkeys(refusal.code for refusal in refusals if refusal.code in waived)),
    )


def _rules_for(command: EnrollmentCommand, context: DecisionContext) -> tuple[Rule, ...]:
    """Return the rules of a command. A swap for a course that the student has already is no request for its seat."""
    if command.instead_of is None or not keeps_status(command, context):
        return RULES[command.action]
    return SWAP_RULES if context.status(command) == Status.ENROLLED else (seat_is_free, *SWAP_RULES)


def version_matches(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the enrollment's id and version are those in ``EnrollmentCommand.if_version``."""
    enrollment = context.latest_enrollments.get(command.key)
    return enrollment is not None and (enrollment.pk, enrollment.version) == command.if_version


def validate_waiver(waived_codes: frozenset[str], reason: str, may_waive: bool) -> list[Refusal]:
    """Return the refusals of a request to waive rules: unknown codes, a missing reason, a missing permission."""
    refusals = []
    for code in sorted(waived_codes - WAIVABLE_CODES):
        message = _("The rule %(code)s cannot be waived. Rules that can be waived: %(codes)s.")
        values = {"code": code, "codes": ", ".join(sorted(WAIVABLE_CODES))}
        refusals.append(Refusal("not_waivable", message % values, _("Not waivable"), field="waive"))
    if waived_codes and not reason.strip():
        message = _("A waiver requires a reason.")
        refusals.append(Refusal("waiver_needs_reason", message, _("Reason is missing"), field="reason"))
    if waived_codes and not may_waive:
        message = _("You do not have permission to waive rules.")
        refusals.append(Refusal("waiver_not_allowed", message, _("Not allowed"), field="waive"))
    return refusals
