"""The facts on which decisions depend, updated as acts are decided. ``students.enrollment.loading`` reads them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone
from django.utils.functional import cached_property

from courses.models import Course
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse

EnrollmentKey = tuple[int, int]  # a student's id and a course's

# The automatic actions that follow an act of a user or client.
SYSTEM_ACTIONS = (Action.PROMOTE, Action.PASS_OVER)


@dataclass
class DecisionContext:
    """
    The current facts that a batch of acts needs.

    - ``active`` maps a student's id to ``Student.is_active``.
    - ``latest`` maps a pair of student and course to the newest enrollment, ``last_acts`` to the newest act on it.
    - ``taken`` maps a course to the number of taken seats, ``waiting`` to the length of its waitlist, ``last_arrival``
      to the latest time of arrival on it.
    - ``lines`` has the waitlists, in order, of courses where a seat is or may become free. ``waived_for`` maps a pair
      that waits to the codes of the rules waived for it, ``passed_over_for`` to the codes of the refusals for which it
      was last passed over.
    - ``completed`` counts how often a student has completed a course code, for the courses' prerequisites.
    - ``waits_elsewhere`` maps a student that completes a course to the other courses for which that student waits.
    - ``visible_codes`` has the course codes that a message to the caller may name, None for all.

    Free seats of the courses ``before_waitlist`` go to the acts of the batch before students that wait. The seats left
    must be given to the waiting students by ``promote`` afterwards.

    With ``in_brief`` the caller needs only the outcomes of the acts: students and rows have only the fields that rules
    read and acts change; any other field is loaded from the database when it is accessed.
    """

    now: datetime = field(default_factory=timezone.now)
    may_waive: bool = False
    in_brief: bool = False
    before_waitlist: frozenset[int] = frozenset()
    active: dict[int, bool] = field(default_factory=dict)
    students: dict[int, Student] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    latest: dict[EnrollmentKey, StudentCourse] = field(default_factory=dict)
    last_acts: dict[EnrollmentKey, EnrollmentEvent] = field(default_factory=dict)
    taken: Counter[int] = field(default_factory=Counter)
    waiting: Counter[int] = field(default_factory=Counter)
    lines: dict[int, list[StudentCourse]] = field(default_factory=dict)
    last_arrival: dict[int, datetime] = field(default_factory=dict)
    waived_for: dict[EnrollmentKey, frozenset[str]] = field(default_factory=dict)
    passed_over_for: dict[EnrollmentKey, list[str]] = field(default_factory=dict)
    waits_elsewhere: dict[int, list[int]] = field(default_factory=dict)
    completed: Counter[tuple[int, str]] = field(default_factory=Counter)
    visible_codes: frozenset[str] | None = None

    @cached_property
    def today(self) -> date:
        """The date in ``TIME_ZONE``."""
        return timezone.localdate(self.now)

    def status(self, act: EnrollmentCommand) -> str:
        """Return the status of the student's newest enrollment in the course, "" if there is none."""
        enrollment = self.latest.get(act.pair)
        return enrollment.status if enrollment else ""

    def has_seat(self, course_id: int) -> bool:
        """Return True if a seat is free. It may be reserved for waiting students: see ``may_take_seat``."""
        capacity = self.courses[course_id].capacity
        return capacity is None or self.taken[course_id] < capacity

    def arrival(self, course_id: int) -> datetime:
        """Return the time of arrival on a waitlist now: never before the last arrival, even if clocks differ."""
        return max(self.now, self.last_arrival.get(course_id, self.now))

    def introduce(self, enrollment: StudentCourse) -> None:
        """Set the course of an enrollment, and its student if it was read, so that they are not queried again."""
        known = enrollment._state.fields_cache
        known["course"] = self.courses[enrollment.course_id]
        if enrollment.student_id in self.students:
            known["student"] = self.students[enrollment.student_id]

    def enter(self, enrollment: StudentCourse, *, before: str) -> None:
        """Record an enrollment's new state, so that the next act of the batch sees it."""
        (student_id, course_id), after = enrollment.pair, enrollment.status
        self.latest[student_id, course_id] = enrollment
        self.taken[course_id] += _delta(Status.ENROLLED, before, after)
        if ended := _delta(Status.COMPLETED, before, after):
            self.completed[student_id, self.courses[course_id].code] += ended
        moved = _delta(Status.WAITLISTED, before, after)
        if not moved:
            return
        self.waiting[course_id] += moved
        line = self.lines.get(course_id, [])
        if moved > 0:
            assert enrollment.waitlisted_at is not None
            self.last_arrival[course_id] = max(enrollment.waitlisted_at, self.arrival(course_id))
            line.append(enrollment)
            line.sort(key=_waitlist_sort_key)
        elif moved < 0 and enrollment in line:
            line.remove(enrollment)

    def note(self, event: EnrollmentEvent) -> None:
        """Record a new journal entry, so that the next act of the batch considers it."""
        pair = event.enrollment.pair
        if event.action not in SYSTEM_ACTIONS:
            self.last_acts[pair] = event
        if event.action == Action.ENROLL and event.to_status == Status.WAITLISTED:
            self.waived_for[pair] = frozenset(event.waived)
            self.passed_over_for.pop(pair, None)


def _delta(status: Status, before: str, after: str) -> int:
    return (after == status) - (before == status)


def _waitlist_sort_key(enrollment: StudentCourse) -> tuple[datetime, float]:
    """Return the sort key of waitlists. Of the same instant, enrollments without an id come last."""
    assert enrollment.waitlisted_at is not None
    return enrollment.waitlisted_at, enrollment.pk or float("inf")
