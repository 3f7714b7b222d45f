"""
The enrollment rules: pure functions of a command and the facts in the decision context.

A rule returns the reason why the command is refused, or None. It makes no queries, writes and logs nothing, and uses
the time of the context. All rules of an action are evaluated, so that a refusal lists all reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from courses.lookup import course_not_found
from courses.models import Course
from courses.prerequisites import list_codes
from school.i18n.stored_messages import format_instant
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, version_conflict
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.context import DecisionContext
from students.enrollment.transitions import (
    ALLOWED_FROM,
    COURSE_FULL,
    accepts_waitlist,
    allowed_actions,
    can_take_seat,
    is_noop,
    next_status,
)
from students.lookup import student_not_found
from students.models import ENDED_STATUSES, OPEN_STATUSES, Action, Status

RuleCheck = Callable[[EnrollmentCommand, DecisionContext], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A check with the code and the title of its refusal.

    ``explanation`` is the docstring of the function, which is shown to users. A ``waivable`` rule is evaluated like any
    other rule, but an actor with the permission to waive rules can override it for a command.
    """

    code: str
    title: str | Promise
    check: RuleCheck
    waivable: bool = False

    def __call__(self, command: EnrollmentCommand, context: DecisionContext) -> Refusal | None:
        message = self.check(command, context)
        return self.refusal(message) if message else None

    def refusal(self, message: str) -> Refusal:
        return Refusal(self.code, message, str(self.title))

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def explanation(self) -> str:
        return self.check.__doc__ or ""


def rule(code: str, title: str | Promise, *, waivable: bool = False) -> Callable[[RuleCheck], Rule]:
    """Decorate a function that returns the message of a refusal, or None, to make it a ``Rule``."""
    return lambda check: Rule(code, title, check, waivable)


@rule("student_inactive", gettext_lazy("Student is not active"))
def student_is_active(command: EnrollmentCommand, context: DecisionContext) -> str | None:
    """Only active students can enroll."""
    if not context.student_is_active[command.student_id]:
        return _("This student is not active.")
    return None


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
    """A student must have completed the prerequisites of a course, in any term."""
    course = context.courses[command.course_id]
    missing = [code for code in course.prerequisites if (command.student_id, code) not in context.completed]
    if missing:
        # The refusal of a promotion names all codes, because the journal stores it for all of its readers.
        visible = None if command.action == Action.PROMOTE else context.visible_codes
        values = {"course": course.code, "codes": list_codes(missing, visible)}
        return _("%(course)s requires %(codes)s to be completed first.") % values
    return None


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
        next_status(command, context) != Status.WAITLISTED
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
    if next_status(command, context) != Status.ENROLLED or context.status(command) == Status.ENROLLED:
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
    is_undone = context.status(command) and (last is None or last.action == Action.UNDO)
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
    course_is_active,
    enrollment_has_opened,
    enrollment_has_not_closed,
    term_has_not_ended,
    prerequisites_are_completed,
)

RULES: dict[str, tuple[Rule, ...]] = {
    Action.ENROLL: (*ELIGIBILITY, seat_is_free, waitlist_has_room),
    Action.DROP: (has_enrollment, transition_allowed),
    Action.COMPLETE: (has_enrollment, transition_allowed),
    Action.UNDO: (has_enrollment, has_undoable_event, unchanged_since_import, seat_free_for_undo),
    Action.PROMOTE: ELIGIBILITY,
}

ALL_RULES: tuple[Rule, ...] = tuple(dict.fromkeys(each for rules in RULES.values() for each in rules))


WAIVABLE_CODES = frozenset(rule.code for rule in ALL_RULES if rule.waivable)


@dataclass(frozen=True, slots=True)
class Decision:
    """All reasons to refuse a command (none if it is accepted), and the codes of the rules that were waived."""

    refusals: tuple[Refusal, ...] = ()
    waived: tuple[str, ...] = ()


def evaluate(command: EnrollmentCommand, context: DecisionContext) -> Decision:
    """Evaluate all rules of the command's action. Unknown ids and an unexpected version are refused first."""
    unknown = []
    if command.student_id not in context.student_is_active:
        unknown.append(student_not_found(command.student_id))
    if command.course_id not in context.courses:
        unknown.append(course_not_found(command.course_id))
    if unknown:
        return Decision(tuple(unknown))
    if command.if_version and not version_matches(command, context):
        return Decision((version_conflict(),))
    waives_now = (
        command.waived_codes and command.action != Action.PROMOTE
    )  # a promotion uses the waiver with which the student joined the waitlist
    objections = validate_waiver(command.waived_codes, command.reason, context.may_waive) if waives_now else []
    if is_noop(command, context):
        return Decision(tuple(objections))
    refusals = [refusal for each in RULES[command.action] if (refusal := each(command, context))]
    waived = command.waived_codes & WAIVABLE_CODES
    return Decision(
        (*objections, *(refusal for refusal in refusals if refusal.code not in waived)),
        tuple(refusal.code for refusal in refusals if refusal.code in waived),
    )


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
