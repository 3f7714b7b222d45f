"""The facts that decisions need, kept true as acts are decided. ``students.facts`` reads them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone
from django.utils.functional import cached_property

from courses.models import Course
from students.acts import Act
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse

Pair = tuple[int, int]  # a student's id and a course's

# What the system does by itself, after an act of somebody's.
BY_ITSELF = (Action.PROMOTE, Action.PASS_OVER)


@dataclass
class Register:
    """
    What is so now, as far as a batch of acts needs to know it.

    ``active`` says of each student whether they are. ``latest`` has the newest enrollment of a student in a course and
    ``last_acts`` the newest act on it, ``taken`` the seats taken of a course and ``waiting`` the length of its line.
    ``lines`` has who waits, in order, of the courses where a seat may become free. ``completed`` counts how often who
    has completed which code, of those that the courses ask for, and ``waits_elsewhere`` has the other courses that a
    student waits for who completes one.

    One kept ``in_brief`` is for who asks no more than what became of an act: of students and of rows that stay as they
    are it has what the rules look at, and the rest is read from the database by whoever looks.
    """

    now: datetime = field(default_factory=timezone.now)
    may_waive: bool = False
    in_brief: bool = False
    active: dict[int, bool] = field(default_factory=dict)
    students: dict[int, Student] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    latest: dict[Pair, StudentCourse] = field(default_factory=dict)
    last_acts: dict[Pair, EnrollmentEvent] = field(default_factory=dict)
    taken: Counter[int] = field(default_factory=Counter)
    waiting: Counter[int] = field(default_factory=Counter)
    lines: dict[int, list[StudentCourse]] = field(default_factory=dict)
    last_arrival: dict[int, datetime] = field(default_factory=dict)
    waived_for: dict[Pair, frozenset[str]] = field(default_factory=dict)
    passed_over_for: dict[Pair, list[str]] = field(default_factory=dict)
    waits_elsewhere: dict[int, list[int]] = field(default_factory=dict)
    completed: Counter[tuple[int, str]] = field(default_factory=Counter)

    @cached_property
    def today(self) -> date:
        """The date in ``TIME_ZONE``."""
        return timezone.localdate(self.now)

    def status(self, act: Act) -> str:
        """Return where the student stands in the course, "" for one who never was in it."""
        enrollment = self.latest.get(act.pair)
        return enrollment.status if enrollment else ""

    def has_seat(self, course_id: int) -> bool:
        """Tell whether a seat is not taken. Whether a newcomer may take it is another question."""
        capacity = self.courses[course_id].capacity
        return capacity is None or self.taken[course_id] < capacity

    def arrival(self, course_id: int) -> datetime:
        """Return when who joins a line now has arrived: never before those who are there, whatever the clocks say."""
        return max(self.now, self.last_arrival.get(course_id, self.now))

    def introduce(self, enrollment: StudentCourse) -> None:
        """Let an enrollment know its course, and its student where that was read: nobody has to ask for them again."""
        known = enrollment._state.fields_cache
        known["course"] = self.courses[enrollment.course_id]
        if enrollment.student_id in self.students:
            known["student"] = self.students[enrollment.student_id]

    def enter(self, enrollment: StudentCourse, *, before: str) -> None:
        """Note an enrollment's new state, so that the next act of the batch sees it."""
        course_id, after = enrollment.course_id, enrollment.status
        self.latest[enrollment.student_id, course_id] = enrollment
        self.taken[course_id] += _change(Status.ENROLLED, before, after)
        if ended := _change(Status.COMPLETED, before, after):
            self.completed[enrollment.student_id, enrollment.course.code] += ended
        moved = _change(Status.WAITLISTED, before, after)
        if not moved:
            return
        self.waiting[course_id] += moved
        line = self.lines.get(course_id, [])
        if moved > 0:
            assert enrollment.waitlisted_at is not None
            self.last_arrival[course_id] = max(enrollment.waitlisted_at, self.arrival(course_id))
            line.append(enrollment)
            line.sort(key=_place)
        elif moved < 0 and enrollment in line:
            line.remove(enrollment)

    def note(self, event: EnrollmentEvent) -> None:
        """Note what was done to an enrollment, so that the next act of the batch goes by it."""
        pair = event.enrollment.pair
        if event.action not in BY_ITSELF:
            self.last_acts[pair] = event
        if event.action == Action.ENROLL and event.to_status == Status.WAITLISTED:
            self.waived_for[pair] = frozenset(event.waived)
            self.passed_over_for.pop(pair, None)


def _change(status: Status, before: str, after: str) -> int:
    return (after == status) - (before == status)


def _place(enrollment: StudentCourse) -> tuple[datetime, float]:
    """Return the key that lines are sorted by. Who has no id yet comes after those of the same instant who have one."""
    assert enrollment.waitlisted_at is not None
    return enrollment.waitlisted_at, enrollment.pk or float("inf")
