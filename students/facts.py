"""Reading the facts that decisions need: courses are locked first, and only then is anything looked at."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Count, DateTimeField, Max, Q, QuerySet, Value
from django.utils import timezone

from courses.models import Course
from school.lookups import is_pair
from school.prepared import Prepared
from school.pressing import pressed
from students.acts import Act, Origin
from students.lookup import STUDENTS_BY_ID
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse
from students.register import BY_ITSELF, Register
from students.seats import seats_of, with_seats
from students.transitions import is_settled

# Named by lists of ids, so that one act is asked for as a thousand are.
LOCKED: Prepared[Course] = Prepared(
    lambda ids: (
        Course.objects.filter(pk__among=ids)
        .select_related("term")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    )
)
# How many are seated in the first courses and wait for the second ones; who waits has a time of arrival.
COUNTED: Prepared[Any] = Prepared(
    lambda limited, ids: (
        _by_course(StudentCourse.objects.seated(), limited)
        .annotate(newest=Value(None, DateTimeField()))
        .union(_by_course(StudentCourse.objects.waiting(), ids).annotate(newest=Max("waitlisted_at")), all=True)
    )
)
AT_ONCE = Prepared(lambda ids: with_seats(Course.objects.filter(pk__among=ids).select_related("term")))
# The newest row of a pair is read last: an open row is always newer than the ended ones.
STANDINGS: Prepared[StudentCourse] = Prepared(lambda *pairs: _standings(*pairs))
BRIEF = ("id", "student_id", "course_id", "status", "grade")
IN_BRIEF: Prepared[Any] = Prepared(lambda *pairs: _standings(*pairs).values_list(*BRIEF))
ACTIVITY: Prepared[Any] = Prepared(lambda ids: Student.objects.filter(pk__among=ids).values_list("pk", "is_active"))

NO_COURSE = 0  # an id that none has

# The acts that can free a seat.
FREEING = (Action.DROP, Action.COMPLETE, Action.UNDO)


def lock_and_read(acts: Collection[Act], register: Register, origin: Origin, *, course_ids: Iterable[int] = ()) -> None:
    """
    Lock the courses of the acts and ``course_ids``, in the order of their ids, and only then read facts and clock.

    NO KEY UPDATE is the weakest lock that excludes itself: it lets the foreign key checks of other inserts pass.
    """
    _read_waits_elsewhere(acts, register)
    wanted = {act.course_id for act in acts} | set(course_ids)
    wanted.update(course_id for others in register.waits_elsewhere.values() for course_id in others)
    locked = {course.pk: course for course in LOCKED(list(wanted - register.courses.keys()))}
    register.now = origin.at or timezone.now()  # who got the lock later came later
    register.__dict__.pop("today", None)
    register.may_waive = origin.may_waive
    register.courses.update(locked)
    _count_seats(locked, register)
    _read_lines(acts, register, wanted & register.courses.keys())
    to_decide = _read_standings(acts, register)
    _read_students(to_decide if register.in_brief else acts, register)
    _read_completed(register, wanted)
    _read_last_acts(acts, register)


def look(act: Act, register: Register, origin: Origin) -> None:
    """Read the facts of one act without a lock: the course with its seats as of one instant, then all else."""
    for course in AT_ONCE([act.course_id]):
        seats = seats_of(course)
        register.courses[course.pk] = course
        register.taken[course.pk], register.waiting[course.pk] = seats.taken, seats.waiting
    register.now = origin.at or timezone.now()
    register.may_waive = origin.may_waive
    _read_standings([act], register)
    _read_students([act], register)
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


def _count_seats(locked: dict[int, Course], register: Register) -> None:
    limited = [pk for pk, course in locked.items() if course.capacity is not None]
    for course_id, count, newest in COUNTED(limited or [NO_COURSE], list(locked)):
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


def _by_course(enrollments: QuerySet[StudentCourse], course_ids: Collection[int]) -> QuerySet[Any, Any]:
    chosen = enrollments.filter(course__pk__among=course_ids)
    return chosen.order_by().values_list("course").annotate(Count("pk"))


def _standings(students: Collection[int], courses: Collection[int]) -> QuerySet[StudentCourse]:
    return StudentCourse.objects.filter(is_pair("student_id", "course_id", students, courses)).order_by("pk")


def _read_standings(acts: Collection[Act], register: Register) -> list[Act]:
    """Read how the students of the acts stand in the courses; return the acts that ask for something else."""
    pairs = {act.pair for act in acts}
    sides = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = pressed(StudentCourse, BRIEF, IN_BRIEF(*sides)) if register.in_brief else iter(STANDINGS(*sides))
    register.latest = {pair: row for row in found if (pair := row.pair) in pairs}
    in_line = {waiter.pair: waiter for line in register.lines.values() for waiter in line}
    register.latest |= {pair: waiter for pair, waiter in in_line.items() if pair in pairs}
    to_decide = [act for act in acts if not is_settled(act, register)]
    if register.in_brief:
        changing = {act.pair for act in to_decide} & register.latest.keys() - in_line.keys()
        rows = StudentCourse.objects.filter(pk__among=[register.latest[pair].pk for pair in changing])
        register.latest |= {row.pair: row for row in rows}
    return to_decide


def _read_students(acts: Collection[Act], register: Register) -> None:
    """Read the students of the acts, and let the enrollments know whom and what they are about."""
    wanted = list({act.student_id for act in acts})
    waiting = [waiter.student for line in register.lines.values() for waiter in line]
    if register.in_brief:
        register.active = dict(ACTIVITY(wanted))
    else:
        register.students = {student.pk: student for student in STUDENTS_BY_ID(wanted)}
        register.students |= {student.pk: student for student in waiting}
        register.active = {pk: student.is_active for pk, student in register.students.items()}
        for row in register.latest.values():
            register.introduce(row)
    register.active |= {student.pk: student.is_active for student in waiting}


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
