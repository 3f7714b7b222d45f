"""
The enrollment rules: pure functions of an act and the register, and the verdict over all of them.

A rule returns the reason why the act is refused, or None. It makes no queries, writes and logs nothing, and uses the
time of the register. All rules of an action are evaluated, so that a refusal lists all reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from courses.lookup import course_not_found
from courses.models import Course
from courses.prerequisites import list_codes
from school.i18n.stored_messages import sentence as _
from school.i18n.stored_messages import told_instant
from school.refusals import Refusal, changed_meanwhile
from students.enrollment.commands import Act
from students.enrollment.context import Register
from students.enrollment.transitions import (
    COURSE_FULL,
    STARTING_POINTS,
    is_done_already,
    may_take_seat,
    may_wait,
    possible_from,
    status_after,
)
from students.lookup import student_not_found
from students.models import ENDED, OPEN, Action, Status

Check = Callable[[Act, Register], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A check with the code and the title of its refusal. ``explanation`` is its docstring, which is shown to users.

    A ``waivable`` rule is evaluated like any other, but an actor with that permission can override it for an act.
    """

    code: str
    title: str | Promise
    check: Check
    waivable: bool = False

    def __call__(self, act: Act, register: Register) -> Refusal | None:
        message = self.check(act, register)
        return self.refusal(message) if message else None

    def refusal(self, message: str) -> Refusal:
        return Refusal(self.code, message, str(self.title))

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def explanation(self) -> str:
        return self.check.__doc__ or ""


def rule(code: str, title: str | Promise, *, waivable: bool = False) -> Callable[[Check], Rule]:
    """Decorate a function that returns the message of a refusal, or None, to make it a ``Rule``."""
    return lambda check: Rule(code, title, check, waivable)


@rule("student_inactive", gettext_lazy("Student is not active"))
def student_is_active(act: Act, register: Register) -> str | None:
    """Only active students can enroll."""
    if not register.active[act.student_id]:
        return _("This student is not active.")
    return None


@rule("course_inactive", gettext_lazy("Course is not active"))
def course_is_active(act: Act, register: Register) -> str | None:
    """Only active courses accept enrollments."""
    course = register.courses[act.course_id]
    if not course.is_active:
        return _("%(course)s is not active.") % {"course": course.code}
    return None


@rule("enrollment_not_open", gettext_lazy("Enrollment is not open yet"), waivable=True)
def enrollment_has_opened(act: Act, register: Register) -> str | None:
    """Enrollment in a course is possible from its `enrollment_opens_at`."""
    course = register.courses[act.course_id]
    if not course.has_opened(register.now):
        opens_at = told_instant(course.enrollment_opens_at)
        return _("Enrollment in %(course)s opens at %(instant)s.") % {"course": course.code, "instant": opens_at}
    return None


@rule("enrollment_closed", gettext_lazy("Enrollment is closed"), waivable=True)
def enrollment_has_not_closed(act: Act, register: Register) -> str | None:
    """Enrollment in a course is possible until its `enrollment_closes_at`."""
    course = register.courses[act.course_id]
    if course.has_closed(register.now):
        closed_at = told_instant(course.enrollment_closes_at)
        return _("Enrollment in %(course)s closed at %(instant)s.") % {"course": course.code, "instant": closed_at}
    return None


@rule("term_ended", gettext_lazy("Term has ended"), waivable=True)
def term_has_not_ended(act: Act, register: Register) -> str | None:
    """A course accepts no enrollments after the last day of its term."""
    course = register.courses[act.course_id]
    if course.term is None or register.today <= course.term.ends_on:
        return None
    parts = {"course": course.code, "date": course.term.ends_on.isoformat()}
    return _("The term of %(course)s ended on %(date)s.") % parts


@rule("prerequisite_missing", gettext_lazy("Prerequisite missing"), waivable=True)
def prerequisites_are_completed(act: Act, register: Register) -> str | None:
    """A student must have completed the prerequisites of a course, in any term."""
    course = register.courses[act.course_id]
    missing = [code for code in course.prerequisites if (act.student_id, code) not in register.completed]
    if missing:
        # The journal records why a waiting student is passed over; its readers are not only the caller.
        visible = None if act.action == Action.PROMOTE else register.visible_codes
        parts = {"course": course.code, "codes": list_codes(missing, visible)}
        return _("%(course)s requires %(codes)s to be completed first.") % parts
    return None


@rule(COURSE_FULL, gettext_lazy("Course is full"), waivable=True)
def seat_is_free(act: Act, register: Register) -> str | None:
    """The course must have a free seat. Waitlisted students get free seats first."""
    course = register.courses[act.course_id]
    if may_take_seat(act, register) or may_wait(act):
        return None
    if register.has_seat(course.pk):
        return _("The free seats of %(course)s go to waitlisted students first.") % {"course": course.code}
    return _("%(course)s has no free seat.") % {"course": course.code}


@rule("waitlist_full", gettext_lazy("Waitlist is full"))
def line_has_room(act: Act, register: Register) -> str | None:
    """The waitlist must have room. Its limit is the `waitlist_capacity` of the course."""
    course = register.courses[act.course_id]
    most = course.waitlist_capacity
    if status_after(act, register) != Status.WAITLISTED or most is None or register.waiting[course.pk] < most:
        return None
    if most == 0:
        return _("%(course)s has no free seat and no waitlist.") % {"course": course.code}
    return _("The waitlist of %(course)s is full.") % {"course": course.code}


@rule(COURSE_FULL, gettext_lazy("Course is full"), waivable=True)
def seat_was_kept(act: Act, register: Register) -> str | None:
    """An undo that would enroll a student again needs a free seat."""
    course = register.courses[act.course_id]
    if status_after(act, register) != Status.ENROLLED or register.status(act) == Status.ENROLLED:
        return None
    return None if register.has_seat(course.pk) else _("%(course)s has no free seat.") % {"course": course.code}


@rule("not_enrolled", gettext_lazy("Not enrolled"))
def was_ever_enrolled(act: Act, register: Register) -> str | None:
    """Only a student with an enrollment in the course can drop or complete it."""
    return None if register.status(act) else never_enrolled(register.courses[act.course_id]).message


def never_enrolled(course: Course) -> Refusal:
    """Return the refusal of a request for an enrollment that does not exist."""
    message = _("This student was never enrolled in %(course)s.") % {"course": course.code}
    return was_ever_enrolled.refusal(message)


@rule("illegal_transition", gettext_lazy("Not possible in this state"))
def is_possible_from_here(act: Act, register: Register) -> str | None:
    """A change must be possible from the current status: only an enrolled student can complete a course."""
    status = register.status(act)
    if not status or status in STARTING_POINTS[act.action]:
        return None
    parts = {"status": Status(status).label, "action": act.action.label, "possible": possible_from(status)}
    if not parts["possible"]:
        return _("The enrollment is %(status)s and cannot become %(action)s, because it has ended.") % parts
    return _("The enrollment is %(status)s and cannot become %(action)s. Possible: %(possible)s.") % parts


@rule("illegal_transition", gettext_lazy("Not possible in this state"))
def can_be_undone(act: Act, register: Register) -> str | None:
    """Only the last change of an enrollment can be undone, and an undo cannot be undone."""
    # An erasure cannot be undone: the erased student would have an open enrollment again.
    student = register.students.get(act.student_id)
    if student and student.erased_at and register.status(act) in ENDED and status_after(act, register) in OPEN:
        return _("The personal data of this student is erased, so an ended enrollment cannot be reopened.")
    last = register.last_acts.get(act.pair)
    is_undone = register.status(act) and (last is None or last.action == Action.UNDO)
    return _("There is no change left to undo.") if is_undone else None


@rule("changed_since", gettext_lazy("Changed since the import"))
def is_untouched(act: Act, register: Register) -> str | None:
    """The undo of an import keeps enrollments that were changed after the import."""
    last = register.last_acts.get(act.pair)
    if act.of_import is None or (last and last.file_import_id == act.of_import):
        return None
    return _("It has been changed since the import.")


# The conditions for a place in a course, both immediately and after waiting.
ELIGIBILITY = (
    student_is_active,
    course_is_active,
    enrollment_has_opened,
    enrollment_has_not_closed,
    term_has_not_ended,
    prerequisites_are_completed,
)

RULES: dict[str, tuple[Rule, ...]] = {
    Action.ENROLL: (*ELIGIBILITY, seat_is_free, line_has_room),
    Action.DROP: (was_ever_enrolled, is_possible_from_here),
    Action.COMPLETE: (was_ever_enrolled, is_possible_from_here),
    Action.UNDO: (was_ever_enrolled, can_be_undone, is_untouched, seat_was_kept),
    Action.PROMOTE: ELIGIBILITY,
}

ALL_RULES: tuple[Rule, ...] = tuple(dict.fromkeys(each for rules in RULES.values() for each in rules))


WAIVABLE = frozenset(rule.code for rule in ALL_RULES if rule.waivable)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All reasons to refuse an act (none if it is accepted), and the codes of the rules that were waived."""

    refusals: tuple[Refusal, ...] = ()
    waived: tuple[str, ...] = ()


def verdict(act: Act, register: Register) -> Verdict:
    """Evaluate all rules of the act's action. Unknown ids and an unexpected version are refused first."""
    unknown = []
    if act.student_id not in register.active:
        unknown.append(student_not_found(act.student_id))
    if act.course_id not in register.courses:
        unknown.append(course_not_found(act.course_id))
    if unknown:
        return Verdict(tuple(unknown))
    if act.expected and not is_as_expected(act, register):
        return Verdict((changed_meanwhile(),))
    is_new_wish = act.waive and act.action != Action.PROMOTE  # a promotion uses the waiver of the original act
    objections = objections_to_waiver(act.waive, act.reason, register.may_waive) if is_new_wish else []
    if is_done_already(act, register):
        return Verdict(tuple(objections))
    answers = [refusal for each in RULES[act.action] if (refusal := each(act, register))]
    waived = act.waive & WAIVABLE
    return Verdict(
        (*objections, *(refusal for refusal in answers if refusal.code not in waived)),
        tuple(refusal.code for refusal in answers if refusal.code in waived),
    )


def is_as_expected(act: Act, register: Register) -> bool:
    """Return True if the enrollment's id and version are those in ``Act.expected``."""
    enrollment = register.latest.get(act.pair)
    return enrollment is not None and (enrollment.pk, enrollment.version) == act.expected


def objections_to_waiver(waive: frozenset[str], reason: str, may_waive: bool) -> list[Refusal]:
    """Return the refusals of a request to waive rules: unknown codes, a missing reason, a missing permission."""
    refusals = []
    for code in sorted(waive - WAIVABLE):
        message = _("The rule %(code)s cannot be waived. Rules that can be waived: %(codes)s.")
        parts = {"code": code, "codes": ", ".join(sorted(WAIVABLE))}
        refusals.append(Refusal("not_waivable", message % parts, _("Not waivable"), field="waive"))
    if waive and not reason.strip():
        message = _("A waiver requires a reason.")
        refusals.append(Refusal("waiver_needs_reason", message, _("Reason is missing"), field="reason"))
    if waive and not may_waive:
        message = _("You do not have permission to waive rules.")
        refusals.append(Refusal("waiver_not_allowed", message, _("Not allowed"), field="waive"))
    return refusals
