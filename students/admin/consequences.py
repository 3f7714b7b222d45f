"""What acts lead to, as lines that people read: before they are done, and after."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from courses.models import Course
from students.enrollment.forecast import Forecast, Step
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse
from students.register import BY_ITSELF, Pair

Parties = tuple[Student, Course]


class Line(NamedTuple):
    """
    What becomes of one student's place in one course, and ``why`` it stays as it is where it does.

    ``key`` is what a form names it by: the box that is ticked for it has this value.
    """

    student: Student
    course: Course
    enrollment_id: int | None = None
    before: str = ""
    after: str = ""
    detail: str = ""
    why: tuple[str, ...] = ()
    key: Any = None

    @property
    def before_label(self) -> str:
        return str(Status(self.before).label) if self.before else ""

    @property
    def after_label(self) -> str:
        return str(Status(self.after).label) if self.after else ""


class Tile(NamedTuple):
    """How many lines there are of a kind; ``kind`` is the class of its colour."""

    number: int
    label: str
    kind: str


@dataclass
class Consequences:
    """The lines by what becomes of them; those of ``promoted`` and ``passed`` follow by themselves."""

    changed: list[Line] = field(default_factory=list)
    promoted: list[Line] = field(default_factory=list)
    passed: list[Line] = field(default_factory=list)
    refused: list[Line] = field(default_factory=list)
    same: list[Line] = field(default_factory=list)

    @property
    def tiles(self) -> list[Tile]:
        after = Counter(line.after for line in self.changed)
        statuses = [Status.ENROLLED, *(each for each in Status if each != Status.ENROLLED)]
        tiles = [Tile(after[status], str(status.label), status) for status in statuses if after[status]]
        others = [
            (self.promoted, str(Action.PROMOTE.label), "enrolled"),
            (self.passed, str(Action.PASS_OVER.label), ""),
            (self.refused, _("refused"), "failed"),
            (self.same, _("unchanged"), ""),
        ]
        return [*tiles, *(Tile(len(lines), label, kind) for lines, label, kind in others if lines)]

    def add_events(self, events: Iterable[tuple[EnrollmentEvent, StudentCourse]]) -> None:
        """Add what was, or would be, entered into the journal."""
        for event, enrollment in events:
            line = line_of(event, enrollment)
            if event.action not in BY_ITSELF:
                self.changed.append(line)
            else:
                (self.promoted if event.action == Action.PROMOTE else self.passed).append(line)

    def add(self, forecast: Forecast, parties: dict[Pair, Parties], key: Callable[[Pair], Any]) -> None:
        """Add what a forecast says of the parties."""
        for step in forecast.steps:
            pair = step.outcome.act.pair
            if step.event is not None and step.outcome.enrollment is not None:
                self.changed.append(line_of(step.event, step.outcome.enrollment, key(pair)))
            elif step.outcome.refusals:
                self.refused.append(_line_of_step(step, parties[pair], key(pair)))
            else:
                self.same.append(_line_of_step(step, parties[pair], key(pair)))
        self.add_events(forecast.followed)


def line_of(event: EnrollmentEvent, enrollment: StudentCourse, key: Any = None) -> Line:
    return Line(
        enrollment.student,
        enrollment.course,
        enrollment.pk,
        event.from_status,
        event.to_status,
        _detail(event, enrollment),
        (event.reason_told,) if event.action == Action.PASS_OVER else (),
        key,
    )


def _line_of_step(step: Step, parties: Parties, key: Any) -> Line:
    enrollment = step.outcome.enrollment
    status = enrollment.status if enrollment else ""
    already = _("In already.") if step.outcome.act.action == Action.ENROLL else _("It is so already.")
    why = tuple(refusal.message for refusal in step.outcome.refusals) or (already,)
    return Line(*parties, enrollment.pk if enrollment else None, status, status, "", why, key)


def _detail(event: EnrollmentEvent, enrollment: StudentCourse) -> str:
    """Say beside the status what changes: a grade, or which place in line it is, where that is known already."""
    place = enrollment.__dict__.get("position") if event.to_status == Status.WAITLISTED else None
    grade = event.changes.get("grade")
    told = [_("place %(place)s") % {"place": place}] if place else []
    told += [_("grade %(grade)s") % {"grade": grade[1]} if grade[1] else _("no grade")] if grade else []
    return ", ".join(told)
