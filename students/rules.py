"""
May this act happen? The facts a decision needs, and the pure rules over them.

A rule looks at one act and the register and says why not, or nothing. It queries, writes and logs nothing, and the
time it goes by is the register's. Every rule of an action answers, so that a refusal names all reasons at once.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.lookup import course_not_found
from courses.models import Course
from school.refusals import Refusal
from students.lookup import student_not_found
from students.models import LEFT, Action, Status, Student, StudentCourse


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody wants to happen to a student's place in a course. ``grade`` None leaves the grade as it is."""

    action: Action
    student_id: int
    course_id: int
    grade: str | None = None
    reason: str = ""

    @property
    def pair(self) -> tuple[int, int]:
        return self.student_id, self.course_id


@dataclass
class Register:
    """
    The facts, read once per batch with the courses locked, and kept true as the acts of the batch are decided.

    ``latest`` has the newest enrollment of a student in a course, ``taken`` the seats taken of a course, and
    ``completed`` who has completed which code, of those that the courses ask for.
    """

    now: datetime = field(default_factory=timezone.now)
    students: dict[int, Student] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    latest: dict[tuple[int, int], StudentCourse] = field(default_factory=dict)
    taken: Counter[int] = field(default_factory=Counter)
    completed: set[tuple[int, str]] = field(default_factory=set)

    @property
    def today(self) -> date:
        """The date in ``TIME_ZONE``."""
        return timezone.localdate(self.now)

    def status(self, act: Act) -> str:
        """Return where the student stands in the course, "" for one who never was in it."""
        enrollment = self.latest.get(act.pair)
        return enrollment.status if enrollment else ""

    def enter(self, enrollment: StudentCourse, *, before: str) -> None:
        """Note an enrollment's new state, so that the next act of the batch sees it."""
        self.latest[enrollment.student_id, enrollment.course_id] = enrollment
        if enrollment.status == Status.COMPLETED:
            self.completed.add((enrollment.student_id, enrollment.course.code))
        self.taken[enrollment.course_id] += (enrollment.status == Status.ENROLLED) - (before == Status.ENROLLED)


Check = Callable[[Act, Register], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check with the code and the title of its refusal. ``explanation`` says what it means, for people."""

    code: str
    title: str | Promise
    check: Check

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


def rule(code: str, title: str | Promise) -> Callable[[Check], Rule]:
    """Make a rule of a function that returns the sentence to refuse with, or None."""
    return lambda check: Rule(code, title, check)


@rule("student_inactive", gettext_lazy("Student is not active"))
def student_is_active(act: Act, register: Register) -> str | None:
    """Only active students can enroll."""
    if not register.students[act.student_id].is_active:
        return _("This student is not active.")
    return None


@rule("course_inactive", gettext_lazy("Course is not active"))
def course_is_active(act: Act, register: Register) -> str | None:
    """Only active courses take students."""
    course = register.courses[act.course_id]
    if not course.is_active:
        return _("%(course)s is not active.") % {"course": course.code}
    return None


@rule("enrollment_not_open", gettext_lazy("Enrollment is not open yet"))
def enrollment_has_opened(act: Act, register: Register) -> str | None:
    """Enrollment in a course begins at the instant that the course names."""
    course = register.courses[act.course_id]
    if not course.has_opened(register.now):
        opens_at = timezone.localtime(course.enrollment_opens_at).isoformat(" ", "minutes")
        return _("Enrollment in %(course)s opens at %(instant)s.") % {"course": course.code, "instant": opens_at}
    return None


@rule("enrollment_closed", gettext_lazy("Enrollment is closed"))
def enrollment_has_not_closed(act: Act, register: Register) -> str | None:
    """Enrollment in a course ends at the instant that the course names."""
    course = register.courses[act.course_id]
    if course.has_closed(register.now):
        closed_at = timezone.localtime(course.enrollment_closes_at).isoformat(" ", "minutes")
        return _("Enrollment in %(course)s closed at %(instant)s.") % {"course": course.code, "instant": closed_at}
    return None


@rule("prerequisite_missing", gettext_lazy("Prerequisite missing"))
def prerequisites_are_completed(act: Act, register: Register) -> str | None:
    """A course may ask for others to be completed first, in whatever term."""
    course = register.courses[act.course_id]
    missing = [code for code in course.prerequisites if (act.student_id, code) not in register.completed]
    if missing:
        return _("%(course)s asks for %(codes)s to be completed first.") % {
            "course": course.code,
            "codes": ", ".join(missing),
        }
    return None


@rule("course_full", gettext_lazy("Course is full"))
def seat_is_free(act: Act, register: Register) -> str | None:
    """A course takes as many students as it has seats."""
    course = register.courses[act.course_id]
    if course.capacity is not None and register.taken[course.pk] >= course.capacity:
        return _("%(course)s has no free seat.") % {"course": course.code}
    return None


@rule("not_enrolled", gettext_lazy("Not enrolled"))
def was_ever_enrolled(act: Act, register: Register) -> str | None:
    """Only who is in a course can leave or complete it."""
    return None if register.status(act) else never_enrolled(register.courses[act.course_id]).message


def never_enrolled(course: Course) -> Refusal:
    """The refusal of whatever asks for an enrollment that never was."""
    message = _("This student was never enrolled in %(course)s.") % {"course": course.code}
    return was_ever_enrolled.refusal(message)


@rule("illegal_transition", gettext_lazy("Not possible from here"))
def is_possible_from_here(act: Act, register: Register) -> str | None:
    """An ended enrollment stays as it ended, and only who is enrolled can complete."""
    status = register.status(act)
    if status and status not in STARTING_POINTS[act.action]:
        return _("An enrollment that is %(status)s cannot become %(action)s.") % {
            "status": Status(status).label,
            "action": Action(act.action).label,
        }
    return None


# The statuses that an action leads away from. Ended enrollments are not among them: who comes back enrolls anew.
STARTING_POINTS: dict[str, tuple[str, ...]] = {
    Action.DROP: (Status.WAITLISTED, Status.ENROLLED),
    Action.COMPLETE: (Status.ENROLLED, Status.COMPLETED),
}

RULES: dict[str, tuple[Rule, ...]] = {
    Action.ENROLL: (
        student_is_active,
        course_is_active,
        enrollment_has_opened,
        enrollment_has_not_closed,
        prerequisites_are_completed,
        seat_is_free,
    ),
    Action.DROP: (was_ever_enrolled, is_possible_from_here),
    Action.COMPLETE: (was_ever_enrolled, is_possible_from_here),
}

ALL_RULES: tuple[Rule, ...] = tuple(dict.fromkeys(each for rules in RULES.values() for each in rules))


def is_done_already(act: Act, register: Register) -> bool:
    """Tell whether the act asks for what is so already: then it changes nothing, and repeating it is safe."""
    enrollment = register.latest.get(act.pair)
    if enrollment is None:
        return False
    match act.action:
        case Action.ENROLL:
            return enrollment.is_open
        case Action.DROP:
            return enrollment.status in LEFT
        case _:
            return enrollment.status == Status.COMPLETED and act.grade in (None, enrollment.grade)


def status_after(act: Act, register: Register) -> Status:
    """
    Return the status that the act leads to.

    Who leaves a seat by the term's drop deadline has dropped, who leaves later has withdrawn.
    """
    match act.action:
        case Action.ENROLL:
            return Status.ENROLLED
        case Action.COMPLETE:
            return Status.COMPLETED
    term = register.courses[act.course_id].term
    deadline = term.drop_deadline if term else None
    is_late = deadline is not None and register.today > deadline
    return Status.WITHDRAWN if is_late and register.status(act) == Status.ENROLLED else Status.DROPPED


def reasons_against(act: Act, register: Register) -> list[Refusal]:
    """Return every reason why the act may not happen, none for one that may."""
    unknown = []
    if act.student_id not in register.students:
        unknown.append(student_not_found(act.student_id))
    if act.course_id not in register.courses:
        unknown.append(course_not_found(act.course_id))
    if unknown or is_done_already(act, register):
        return unknown
    return [refusal for each in RULES[act.action] if (refusal := each(act, register))]
