"""Reading the facts that decisions need: courses are locked first, and only then is anything looked at."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import Any

from django.db.models import Count, DateTimeField, Max, Q, QuerySet, Value
from django.utils import timezone

from courses.models import Course
from school.lookups import is_pair
from school.prepared import Prepared, together
from school.pressing import pressed
from students.acts import Act, Origin
from students.lookup import STUDENTS_BY_ID
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse
from students.register import BY_ITSELF, Pair, Register
from students.seats import seats_of, with_seats
from students.transitions import is_settled

# Named by lists of ids, so that one act is asked for as a thousand are.
LOCKED: Prepared[Course] = Prepared(lambda ids: _locked(ids))
# The same, without those that somebody else has locked.
UNLOCKED: Prepared[Course] = Prepared(lambda ids: _locked(ids, skip_locked=True))
# How many are seated where seats are limited, and how many wait; who waits has a time of arrival.
COUNTED: Prepared[Any] = Prepared(
    lambda ids: (
        _by_course(StudentCourse.objects.seated().filter(course__in=_limited(ids)))
        .annotate(newest=Value(None, DateTimeField()))
        .union(
            _by_course(StudentCourse.objects.waiting().filter(course__pk__among=ids)).annotate(
                newest=Max("waitlisted_at")
            ),
            all=True,
        )
    )
)
AT_ONCE = Prepared(lambda ids: with_seats(Course.objects.filter(pk__among=ids).select_related("term")))
# The newest row of a pair is read last: an open row is always newer than the ended ones.
STANDINGS: Prepared[StudentCourse] = Prepared(lambda *pairs: _standings(*pairs))
BRIEF = ("id", "student_id", "course_id", "status", "grade")
IN_BRIEF: Prepared[Any] = Prepared(lambda *pairs: _standings(*pairs).values_list(*BRIEF))
ACTIVITY: Prepared[Any] = Prepared(lambda ids: Student.objects.filter(pk__among=ids).values_list("pk", "is_active"))

# The acts that can free a seat.
FREEING = (Action.DROP, Action.COMPLETE, Action.UNDO)


def lock_and_read(
    acts: Collection[Act],
    register: Register,
    origin: Origin,
    *,
    course_ids: Iterable[int] = (),
    waiting: bool = True,
) -> None:
    """
    Lock the courses of the acts and ``course_ids``, in the order of their ids, and only then read facts and clock.

    NO KEY UPDATE is the weakest lock that excludes itself: it lets the foreign key checks of other inserts pass.
    Without ``waiting`` for those that somebody else has locked, they are left out.
    """
    _read_waits_elsewhere(acts, register)
    wanted = {act.course_id for act in acts} | set(course_ids)
    wanted.update(course_id for others in register.waits_elsewhere.values() for course_id in others)
    unlocked = list(wanted - register.courses.keys())
    # Sent at once: each is looked for when the one before it is had.
    by = LOCKED if waiting else UNLOCKED
    locked, counted, *people = together((by, [unlocked]), (COUNTED, [unlocked]), *_about_people(acts, register))
    register.now = origin.at or timezone.now()  # who got the lock later came later
    register.__dict__.pop("today", None)
    register.may_waive = origin.may_waive
    register.courses.update((course.pk, course) for course in locked)
    _note_counts(counted, register)
    _read_lines(acts, register, wanted & register.courses.keys())
    _note_people(acts, register, *people)
    _read_completed(register, wanted)
    _read_last_acts(acts, register)


def look(act: Act, register: Register, origin: Origin) -> None:
    """Read the facts of one act without a lock: the course with its seats as of one instant, then all else."""
    courses, *people = together((AT_ONCE, [[act.course_id]]), *_about_people([act], register))
    for course in courses:
        seats = seats_of(course)
        register.courses[course.pk] = course
        register.taken[course.pk], register.waiting[course.pk] = seats.taken, seats.waiting
    register.now = origin.at or timezone.now()
    register.may_waive = origin.may_waive
    _note_people([act], register, *people)
    _read_completed(register, {act.course_id})


def _read_waits_elsewhere(acts: Iterable[Act], register: Register) -> None:
    """Find the courses that may become open to those who complete another: they must be locked along."""
    completing = {act.student_id for act in acts if act.action == Action.COMPLETE}
    register.waits_elsewhere = {}
    if not completing:
        return
    waits = StudentCourse.objects.waiting().filter(student__in=completing).exclude(course__prerequisites=[])
    for student_id, course_id in waits.order_by("course").values_list("student", "course"):
        register.waits_elsewhere.setdefault(student_id, []).append(course_id)


def _note_counts(counted: Iterable[tuple[int, int, Any]], register: Register) -> None:
    for course_id, count, newest in counted:
        if newest is None:
            register.taken[course_id] = count
        else:
            register.waiting[course_id] = count
            register.last_arrival[course_id] = newest


def _read_lines(acts: Iterable[Act], register: Register, course_ids: Iterable[int]) -> None:
    """Read who waits where a seat is free or may become free, and what the journal says of them."""
    freeing = {act.course_id for act in acts if act.action in FREEING}
    open_to = {pk for pk in course_ids if pk in freeing or register.has_seat(pk)}
    moving = {pk for pk in open_to if register.waiting[pk]}
    register.lines = {pk: [] for pk in open_to}  # who joins an empty line in this batch is in it for the acts after
    register.waived_for, register.passed_over_for = {}, {}
    if not moving:
        return
    for waiter in StudentCourse.objects.in_line().filter(course__in=moving).select_related("student"):
        waiter.course = register.courses[waiter.course_id]
        register.lines[waiter.course_id].append(waiter)
    told = EnrollmentEvent.objects.filter(
        Q(action=Action.ENROLL, to_status=Status.WAITLISTED) & ~Q(waived=[]) | Q(action=Action.PASS_OVER),
        enrollment__course__in=moving,
        enrollment__status=Status.WAITLISTED,
    )
    for event in told.order_by("pk").select_related("enrollment"):
        pair = event.enrollment.pair
        if event.action == Action.PASS_OVER:
            register.passed_over_for[pair] = event.refusals
        else:
            register.waived_for[pair] = frozenset(event.waived)


def _locked(ids: Collection[int], *, skip_locked: bool = False) -> QuerySet[Course]:
    courses = Course.objects.filter(pk__among=ids).select_related("term").order_by("pk")
    return courses.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)


def _limited(ids: Collection[int]) -> QuerySet[Course]:
    return Course.objects.filter(pk__among=ids, capacity__isnull=False)


def _by_course(enrollments: QuerySet[StudentCourse]) -> QuerySet[Any, Any]:
    return enrollments.order_by().values_list("course").annotate(Count("pk"))


def _standings(students: Collection[int], courses: Collection[int]) -> QuerySet[StudentCourse]:
    return StudentCourse.objects.filter(is_pair("student_id", "course_id", students, courses)).order_by("pk")


def _about_people(acts: Collection[Act], register: Register) -> Iterator[tuple[Prepared[Any], Sequence[Any]]]:
    """Yield what is asked about the students of the acts: how they stand in the courses, and who they are."""
    pairs = {act.pair for act in acts}
    sides = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if register.in_brief:
        yield IN_BRIEF, sides
    else:
        yield STANDINGS, sides
        yield STUDENTS_BY_ID, [list({act.student_id for act in acts})]


def _note_people(
    acts: Collection[Act], register: Register, standings: list[Any], students: Collection[Student] = ()
) -> None:
    """Note what was answered, and let the enrollments know whom and what they are about."""
    pairs = {act.pair for act in acts}
    found = pressed(StudentCourse, BRIEF, standings) if register.in_brief else iter(standings)
    register.latest = {pair: row for row in found if (pair := row.pair) in pairs and pair[1] in register.courses}
    in_line = {waiter.pair: waiter for line in register.lines.values() for waiter in line}
    register.latest |= {pair: waiter for pair, waiter in in_line.items() if pair in pairs}
    waiting = [waiter.student for waiter in in_line.values()]
    if register.in_brief:
        _read_what_changes(acts, register, in_line.keys())
    else:
        register.students = {student.pk: student for student in [*students, *waiting]}
        register.active = {pk: student.is_active for pk, student in register.students.items()}
        for row in register.latest.values():
            register.introduce(row)
    register.active |= {student.pk: student.is_active for student in waiting}


def _read_what_changes(acts: Iterable[Act], register: Register, known: Set[Pair]) -> None:
    """Read what an act that asks for something else is about, of what is not ``known`` in full."""
    to_decide = [act for act in acts if not is_settled(act, register)]
    changing = {act.pair for act in to_decide} & register.latest.keys() - known
    rows = StudentCourse.objects.filter(pk__among=[register.latest[pair].pk for pair in changing])
    register.latest |= {row.pair: row for row in rows}
    register.active = dict(ACTIVITY(list({act.student_id for act in to_decide})))


def _read_completed(register: Register, wanted: set[int]) -> None:
    """Count who has completed what the courses ask for."""
    register.completed = Counter()
    asked_for = {code for pk in wanted & register.courses.keys() for code in register.courses[pk].prerequisites}
    if asked_for:
        completed = StudentCourse.objects.completed().filter(course__code__in=asked_for)
        passed = completed.filter(student__pk__among=register.active.keys())
        register.completed.update(passed.values_list("student", "course__code"))


def _read_last_acts(acts: Iterable[Act], register: Register) -> None:
    register.last_acts = {}
    undone = {act.pair for act in acts if act.action == Action.UNDO}
    if not undone:
        return
    enrollments = [register.latest[pair] for pair in undone if pair in register.latest]
    events = EnrollmentEvent.objects.filter(enrollment__in=enrollments).exclude(action__in=BY_ITSELF)
    newest = events.order_by("pk").select_related("enrollment")
    register.last_acts = {event.enrollment.pair: event for event in newest}
