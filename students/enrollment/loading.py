"""
Reading of the facts on which decisions depend.

A decision that is carried out reads them under locks: first the courses, by id, then the students, by id. A preview
reads the same facts without locks.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db.models import Count, DateTimeField, F, Max, Q, QuerySet, Value
from django.utils import timezone

from bulk.models import Import, State
from courses.models import Course
from courses.prerequisites import visible_codes
from school.access.row_scope import Limits
from school.db.compiled_queries import Prepared, together
from school.db.instances import pressed
from school.db.lookups import is_pair
from students.enrollment.commands import ActorContext, EnrollmentCommand
from students.enrollment.context import SYSTEM_ACTIONS, DecisionContext
from students.enrollment.transitions import is_unconditional_noop
from students.events.log import STATE
from students.lookup import STUDENTS_BY_ID
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse
from students.seats import seats_of, with_seats

# All queries take lists of ids, so that one act uses the same statements as a thousand.
LOCK_COURSES: Prepared[Course] = Prepared(lambda ids: _lock_courses(ids))
# The number of enrolled students per course with a capacity, and of waiting students per course; only rows of waiting
# students have a time of arrival (``newest``).
SEAT_COUNTS: Prepared[Any] = Prepared(
    lambda ids: (
        _count_by_course(StudentCourse.objects.seated().filter(course__in=_with_capacity(ids)))
        .annotate(newest=Value(None, DateTimeField()))
        .union(
            _count_by_course(StudentCourse.objects.waiting().filter(course__pk__among=ids)).annotate(
                newest=Max("waitlisted_at")
            ),
            all=True,
        )
    )
)
COURSES_WITH_SEATS: Prepared[Course] = Prepared(
    lambda ids: with_seats(Course.objects.filter(pk__among=ids).select_related("term").order_by("pk"))
)
# Transactions that deactivate, erase or delete a student lock it FOR UPDATE, which conflicts with FOR KEY SHARE. Other
# changes of the student, and other enrollments of the student, do not wait; FOR SHARE would block every change of a
# name.
KEY_SHARE = "FOR KEY SHARE"
LOCK_STUDENTS: Prepared[Student] = Prepared(lambda ids: _students_by_id(ids), KEY_SHARE)
# The newest row of a pair comes last: an open row is always newer than the ended ones.
LATEST_ENROLLMENTS: Prepared[StudentCourse] = Prepared(lambda *pairs: _enrollments_of(*pairs))
DECISION_COLUMNS = ("id", "student_id", "course_id", "status", *STATE, "version")
LATEST_PARTIAL_ROWS: Prepared[Any] = Prepared(lambda *pairs: _enrollments_of(*pairs).values_list(*DECISION_COLUMNS))
STUDENT_ACTIVE: Prepared[Any] = Prepared(lambda ids: _students_by_id(ids).values_list("pk", "is_active"), KEY_SHARE)

# The acts that can free a seat.
SEAT_FREEING_ACTIONS = (Action.DROP, Action.COMPLETE, Action.UNDO)


def lock_and_load(
    acts: Collection[EnrollmentCommand],
    register: DecisionContext,
    origin: ActorContext,
    *,
    course_ids: Iterable[int] = (),
) -> None:
    """
    Lock the courses of the acts and ``course_ids``, ordered by id, and only then read the facts and the clock.

    NO KEY UPDATE is the weakest lock that conflicts with itself; it does not block the foreign key checks of other
    inserts. Students are locked when they are read: those of the acts, and those that may be promoted.
    """
    wanted = _course_ids_to_load(acts, register) | set(course_ids)
    unlocked = list(wanted - register.courses.keys())
    # Sent together; each statement starts when the one before it has its locks and has finished.
    locked, counted, *people = together(
        (LOCK_COURSES, [unlocked]),
        (SEAT_COUNTS, [unlocked]),
        *_student_queries(acts, register, LOCK_STUDENTS),
    )
    register.courses.update((course.pk, course) for course in locked)
    _store_seat_counts(counted, register)
    _load_remaining_facts(acts, register, origin, wanted, LOCK_STUDENTS, people)


def load_unlocked(
    acts: Collection[EnrollmentCommand],
    register: DecisionContext,
    origin: ActorContext,
    *,
    course_ids: Iterable[int] = (),
) -> None:
    """
    Read the same facts as ``lock_and_load`` without locks: first the courses with their seats, as of one instant.

    The other facts are read later and may be newer. A decision based on them can only be a preview, or a refusal that
    was correct at that instant.
    """
    wanted = _course_ids_to_load(acts, register) | set(course_ids)
    courses, *people = together((COURSES_WITH_SEATS, [list(wanted)]), *_student_queries(acts, register, STUDENTS_BY_ID))
    for course in courses:
        seats = seats_of(course)
        register.courses[course.pk] = course
        register.taken[course.pk], register.waiting[course.pk] = seats.taken, seats.waiting
    _load_remaining_facts(acts, register, origin, wanted, STUDENTS_BY_ID, people)


def _load_remaining_facts(
    acts: Collection[EnrollmentCommand],
    register: DecisionContext,
    origin: ActorContext,
    wanted: set[int],
    students: Prepared[Student],
    people: Sequence[list[Any]],
) -> None:
    """Read the clock, waitlists, prerequisites and journal, after the courses and their seats."""
    register.now = origin.at or timezone.now()  # after the locks: a request that acquires them later has a later time
    register.__dict__.pop("today", None)
    register.may_waive = origin.may_waive
    _load_waitlists(acts, register, wanted & register.courses.keys(), students)
    _store_students(acts, register, *people)
    _load_completed(register, wanted, origin.limits)
    _load_last_events(acts, register)


def _course_ids_to_load(acts: Iterable[EnrollmentCommand], register: DecisionContext) -> set[int]:
    """Return the ids of the acts' courses, and of other courses for which the acts may qualify waiting students."""
    _load_other_waitlists(acts, register)
    others = (course_id for courses in register.waits_elsewhere.values() for course_id in courses)
    return {*(act.course_id for act in acts), *others}


def _load_other_waitlists(acts: Iterable[EnrollmentCommand], register: DecisionContext) -> None:
    """
    Find the courses with prerequisites for which students of COMPLETE acts wait.

    A completion may qualify the student for a seat there, so these courses must be locked too.
    """
    completing = {act.student_id for act in acts if act.action == Action.COMPLETE}
    register.waits_elsewhere = {}
    if not completing:
        return
    waits = StudentCourse.objects.waiting().filter(student__pk__among=list(completing))
    asking = waits.exclude(course__prerequisites=[]).order_by("course")
    for student_id, course_id in asking.values_list("student", "course"):
        register.waits_elsewhere.setdefault(student_id, []).append(course_id)


def _store_seat_counts(counted: Iterable[tuple[int, int, Any]], register: DecisionContext) -> None:
    for course_id, count, newest in counted:
        if newest is None:
            register.taken[course_id] = count
        else:
            register.waiting[course_id] = count
            register.last_arrival[course_id] = newest


def _load_waitlists(
    acts: Iterable[EnrollmentCommand], register: DecisionContext, course_ids: Iterable[int], students: Prepared[Student]
) -> None:
    """Read the waitlists of courses with a seat that is or may become free, and the waiters' waivers and refusals."""
    freeing = {act.course_id for act in acts if act.action in SEAT_FREEING_ACTIONS}
    open_to = {pk for pk in course_ids if pk in freeing or register.has_seat(pk)}
    moving = {pk for pk in open_to if register.waiting[pk]}
    # With the empty ones too: a student that joins one in this batch must be in it for the later acts.
    register.lines = {pk: [] for pk in open_to}
    register.waived_for, register.passed_over_for = {}, {}
    if not moving:
        return
    waiters = list(StudentCourse.objects.in_line().filter(course__in=moving))
    known = {student.pk: student for student in students(list({waiter.student_id for waiter in waiters}))}
    for waiter in waiters:
        if waiter.student_id in known:
            waiter.course, waiter.student = register.courses[waiter.course_id], known[waiter.student_id]
            register.lines[waiter.course_id].append(waiter)
    told = EnrollmentEvent.objects.filter(
        Q(action=Action.ENROLL, to_status=Status.WAITLISTED) & ~Q(waived=[]) | Q(action=Action.PASS_OVER),
        enrollment__pk__among=[waiter.pk for waiter in waiters],
    )
    pairs = {waiter.pk: waiter.pair for waiter in waiters}
    for event in told.order_by("pk"):
        pair = pairs[event.enrollment_id]
        if event.action == Action.PASS_OVER:
            register.passed_over_for[pair] = event.refusals
        else:
            register.waived_for[pair] = frozenset(event.waived)


def _lock_courses(ids: Collection[int]) -> QuerySet[Course]:
    courses = Course.objects.filter(pk__among=ids).select_related("term").order_by("pk")
    return courses.select_for_update(of=("self",), no_key=True)


def _students_by_id(ids: Collection[int]) -> QuerySet[Student]:
    return Student.objects.filter(pk__among=ids).order_by("pk")


def _with_capacity(ids: Collection[int]) -> QuerySet[Course]:
    return Course.objects.filter(pk__among=ids, capacity__isnull=False)


def _count_by_course(enrollments: QuerySet[StudentCourse]) -> QuerySet[Any, Any]:
    return enrollments.order_by().values_list("course").annotate(Count("pk"))


def _enrollments_of(students: Collection[int], courses: Collection[int]) -> QuerySet[StudentCourse]:
    return StudentCourse.objects.filter(is_pair("student_id", "course_id", students, courses)).order_by("pk")


def _student_queries(
    acts: Collection[EnrollmentCommand], register: DecisionContext, students: Prepared[Student]
) -> Iterator[tuple[Prepared[Any], Sequence[Any]]]:
    """Yield the queries about the students of the acts: their enrollments in the courses, and the students."""
    pairs = {act.pair for act in acts}
    sides = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if register.in_brief:
        yield LATEST_PARTIAL_ROWS, sides
    else:
        yield LATEST_ENROLLMENTS, sides
        yield students, [list({act.student_id for act in acts})]


def _store_students(
    acts: Collection[EnrollmentCommand],
    register: DecisionContext,
    standings: list[Any],
    students: Collection[Student] = (),
) -> None:
    """Store the results in the register, and set the enrollments' course and student."""
    pairs = {act.pair for act in acts}
    found = pressed(StudentCourse, DECISION_COLUMNS, standings) if register.in_brief else iter(standings)
    register.latest = {pair: row for row in found if (pair := row.pair) in pairs and pair[1] in register.courses}
    in_line = {waiter.pair: waiter for line in register.lines.values() for waiter in line}
    register.latest |= {pair: waiter for pair, waiter in in_line.items() if pair in pairs}
    waiting = [waiter.student for waiter in in_line.values()]
    if register.in_brief:
        to_decide = {act.student_id for act in acts if not is_unconditional_noop(act, register)}
        register.active = dict(STUDENT_ACTIVE(list(to_decide)))
    else:
        register.students = {student.pk: student for student in [*students, *waiting]}
        register.active = {pk: student.is_active for pk, student in register.students.items()}
        for row in register.latest.values():
            register.introduce(row)
    register.active |= {student.pk: student.is_active for student in waiting}


def _load_completed(register: DecisionContext, wanted: set[int], limits: Limits | None) -> None:
    """Count the students' completed enrollments in prerequisites of the courses."""
    register.completed = Counter()
    asked_for = {code for pk in wanted & register.courses.keys() for code in register.courses[pk].prerequisites}
    if asked_for:
        completed = StudentCourse.objects.completed().filter(course__code__in=asked_for)
        passed = completed.filter(student__pk__among=register.active.keys())
        register.completed.update(passed.values_list("student", "course__code"))
        register.visible_codes = visible_codes(limits)


def effective_events() -> QuerySet[EnrollmentEvent]:
    """Return the journal entries of acts, without automatic ones (``SYSTEM_ACTIONS``) and without undone adoptions."""
    undone = Import.objects.filter(state__in=(State.UNDONE, State.PARTLY_UNDONE)).values("pk")
    acts = EnrollmentEvent.objects.exclude(action__in=SYSTEM_ACTIONS).exclude(
        action=Action.ADOPT, file_import__in=undone
    )
    return acts.exclude(action=Action.UNDO, from_status=F("to_status"), changes={})  # the undo of an adoption


def _load_last_events(acts: Iterable[EnrollmentCommand], register: DecisionContext) -> None:
    register.last_acts = {}
    undone = {act.pair: act.of_import for act in acts if act.action == Action.UNDO}
    if not undone:
        return
    enrollments = [register.latest[pair] for pair in undone if pair in register.latest]
    newest = effective_events().filter(enrollment__in=enrollments).order_by("pk").select_related("enrollment")
    # Only the undo of an import considers adoptions: any other undo applies to the act before them.
    counted = (event for event in newest if event.action != Action.ADOPT or undone[event.enrollment.pair])
    register.last_acts = {event.enrollment.pair: event for event in counted}
