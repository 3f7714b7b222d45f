"""The facts that decisions need: read once per batch with the courses locked, and kept true as acts are decided."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Count, Max, Q
from django.utils import timezone
from django.utils.functional import cached_property

from courses.models import Course
from school.lookups import is_pair
from students.acts import Act, Origin
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse

Pair = tuple[int, int]  # a student's id and a course's

# The acts that can free a seat.
FREEING = (Action.DROP, Action.COMPLETE, Action.UNDO)
# What the system does by itself, after an act of somebody's.
BY_ITSELF = (Action.PROMOTE, Action.PASS_OVER)


@dataclass
class Register:
    """
    What is so now, as far as a batch of acts needs to know it.

    ``latest`` has the newest enrollment of a student in a course and ``last_acts`` the newest act on it, ``taken`` the
    seats taken of a course and ``waiting`` the length of its line. ``lines`` has who waits, in order, of the courses
    where a seat may become free. ``completed`` counts how often who has completed which code, of those that the courses
    ask for, and ``waits_elsewhere`` has the other courses that a student waits for who completes one.
    """

    now: datetime = field(default_factory=timezone.now)
    may_waive: bool = False
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
        pair = _pair(event.enrollment)
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


def lock_and_read(acts: Collection[Act], register: Register, origin: Origin, *, course_ids: Iterable[int] = ()) -> None:
    """
    Lock the courses of the acts and ``course_ids``, in the order of their ids, and only then read facts and clock.

    NO KEY UPDATE is the weakest lock that excludes itself: it lets the foreign key checks of other inserts pass.
    """
    _read_waits_elsewhere(acts, register)
    wanted = {act.course_id for act in acts} | set(course_ids)
    wanted.update(course_id for others in register.waits_elsewhere.values() for course_id in others)
    courses = (
        Course.objects.filter(pk__in=wanted - register.courses.keys())
        .select_related("term")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    )
    locked = {course.pk: course for course in courses}
    register.now = origin.at or timezone.now()  # who got the lock later came later
    register.__dict__.pop("today", None)
    register.may_waive = origin.may_waive
    register.courses.update(locked)
    _count_seats(locked, register)
    _read_lines(acts, register, wanted & register.courses.keys())
    _read_students(acts, register, wanted)


def _read_waits_elsewhere(acts: Iterable[Act], register: Register) -> None:
    """Find the courses that may become open to those who complete another: they must be locked along."""
    completing = {act.student_id for act in acts if act.action == Action.COMPLETE}
    register.waits_elsewhere = {}
    waits = StudentCourse.objects.waiting().filter(student__in=completing).exclude(course__prerequisites=[])
    for student_id, course_id in waits.order_by("course").values_list("student", "course"):
        register.waits_elsewhere.setdefault(student_id, []).append(course_id)


def _count_seats(locked: dict[int, Course], register: Register) -> None:
    limited = [pk for pk, course in locked.items() if course.capacity is not None]
    seated = StudentCourse.objects.seated().filter(course__in=limited).order_by()
    register.taken.update(dict(seated.values_list("course").annotate(Count("pk"))))
    waiting = StudentCourse.objects.waiting().filter(course__in=locked).order_by().values_list("course")
    for course_id, count, newest in waiting.annotate(Count("pk"), Max("waitlisted_at")):
        register.waiting[course_id] = count
        register.last_arrival[course_id] = newest


def _read_lines(acts: Iterable[Act], register: Register, course_ids: Iterable[int]) -> None:
    """Read who waits where a seat is free or may become free, and what the journal says of them."""
    freeing = {act.course_id for act in acts if act.action in FREEING}
    open_to = {pk for pk in course_ids if pk in freeing or register.has_seat(pk)}
    moving = {pk for pk in open_to if register.waiting[pk]}
    register.lines = {pk: [] for pk in open_to}  # who joins an empty line in this batch is in it for the acts after
    register.waived_for, register.passed_over_for = {}, {}
    for waiter in StudentCourse.objects.in_line().filter(course__in=moving).select_related("student"):
        waiter.course = register.courses[waiter.course_id]
        register.lines[waiter.course_id].append(waiter)
    told = EnrollmentEvent.objects.filter(
        Q(action=Action.ENROLL, to_status=Status.WAITLISTED) & ~Q(waived=[]) | Q(action=Action.PASS_OVER),
        enrollment__course__in=moving,
        enrollment__status=Status.WAITLISTED,
    )
    for event in told.order_by("pk").select_related("enrollment"):
        pair = _pair(event.enrollment)
        if event.action == Action.PASS_OVER:
            register.passed_over_for[pair] = event.refusals
        else:
            register.waived_for[pair] = frozenset(event.waived)


def _read_students(acts: Collection[Act], register: Register, wanted: set[int]) -> None:
    """Read the students of the acts, and how they stand in the courses."""
    students = Student.objects.filter(pk__among={act.student_id for act in acts})
    register.students = {student.pk: student for student in students}
    register.students |= {w.student_id: w.student for line in register.lines.values() for w in line}
    asked_for = {code for pk in wanted & register.courses.keys() for code in register.courses[pk].prerequisites}
    passed = StudentCourse.objects.completed().filter(student__in=register.students, course__code__in=asked_for)
    register.completed = Counter(passed.values_list("student", "course__code"))
    register.latest = {}
    pairs = {act.pair for act in acts}
    rows = StudentCourse.objects.filter(is_pair("student_id", "course_id", pairs))
    # The newest row of a pair is read last and stays: an open row is always newer than the ended ones.
    for enrollment in rows.order_by("pk"):
        if _pair(enrollment) in pairs:
            enrollment.student = register.students[enrollment.student_id]
            enrollment.course = register.courses[enrollment.course_id]
            register.latest[_pair(enrollment)] = enrollment
    register.lines = {pk: [register.latest.get(_pair(w), w) for w in line] for pk, line in register.lines.items()}
    _read_last_acts(acts, register)


def _read_last_acts(acts: Iterable[Act], register: Register) -> None:
    undone = {act.pair for act in acts if act.action == Action.UNDO}
    enrollments = [register.latest[pair] for pair in undone if pair in register.latest]
    events = EnrollmentEvent.objects.filter(enrollment__in=enrollments).exclude(action__in=BY_ITSELF)
    newest = events.order_by("pk").select_related("enrollment")
    register.last_acts = {_pair(event.enrollment): event for event in newest}


def _pair(enrollment: StudentCourse) -> Pair:
    return enrollment.student_id, enrollment.course_id
