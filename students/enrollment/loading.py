"""
Loads the facts on which decisions depend.

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
from school.access.row_scope import RowScope
from school.db.compiled_queries import PreparedQuery, run_pipeline
from school.db.lookups import pair_in
from school.db.model_instances import instances_from_rows
from students.enrollment.commands import ActorContext, EnrollmentCommand
from students.enrollment.context import SYSTEM_ACTIONS, DecisionContext
from students.enrollment.transitions import is_unconditional_noop
from students.events.log import TRACKED_FIELDS
from students.lookup import STUDENTS_BY_ID
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse
from students.seats import annotate_seats, get_seats

# All queries take lists of ids, so that one command uses the same statements as a thousand.
LOCK_COURSES: PreparedQuery[Course] = PreparedQuery(lambda ids: _lock_courses(ids))
# The number of enrolled students per course with a capacity, and of waitlisted students per course; only rows of
# waitlisted students have ``last_waitlisted_at``.
SEAT_COUNTS: PreparedQuery[Any] = PreparedQuery(
    lambda ids: (
        _count_by_course(StudentCourse.objects.enrolled().filter(course__in=_with_capacity(ids)))
        .annotate(newest=Value(None, DateTimeField()))
        .union(
            _count_by_course(StudentCourse.objects.waitlisted().filter(course__pk__any_of=ids)).annotate(
                newest=Max("waitlisted_at")
            ),
            all=True,
        )
    )
)
COURSES_WITH_SEATS: PreparedQuery[Course] = PreparedQuery(
    lambda ids: annotate_seats(Course.objects.filter(pk__any_of=ids).select_related("term").order_by("pk"))
)
# Transactions that deactivate, erase or delete a student lock it FOR UPDATE, which conflicts with FOR KEY SHARE. Other
# changes of the student, and other enrollments of the student, do not wait; FOR SHARE would block every change of a
# name.
KEY_SHARE = "FOR KEY SHARE"
LOCK_STUDENTS: PreparedQuery[Student] = PreparedQuery(lambda ids: _students_by_id(ids), KEY_SHARE)
# The latest row of a key comes last: an open row is always newer than the ended ones.
LATEST_ENROLLMENTS: PreparedQuery[StudentCourse] = PreparedQuery(lambda *keys: _enrollments_of(*keys))
DECISION_COLUMNS = ("id", "student_id", "course_id", "status", *TRACKED_FIELDS, "version")
LATEST_PARTIAL_ROWS: PreparedQuery[Any] = PreparedQuery(
    lambda *keys: _enrollments_of(*keys).values_list(*DECISION_COLUMNS)
)
STUDENT_ACTIVE: PreparedQuery[Any] = PreparedQuery(
    lambda ids: _students_by_id(ids).values_list("pk", "is_active"), KEY_SHARE
)

# The actions that can free a seat.
SEAT_FREEING_ACTIONS = (Action.DROP, Action.COMPLETE, Action.UNDO)


def lock_and_load(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    actor: ActorContext,
    *,
    course_ids: Iterable[int] = (),
) -> None:
    """
    Lock the courses of the commands and ``course_ids``, ordered by id, and only then read the facts and the clock.

    NO KEY UPDATE is the weakest lock that conflicts with itself; it does not block the foreign key checks of other
    inserts. Students are locked when they are read: those of the commands, and those that may be promoted.
    """
    course_ids_to_load = _course_ids_to_load(commands, context) | set(course_ids)
    unlocked = list(course_ids_to_load - context.courses.keys())
    # Sent together; each statement starts when the one before it has its locks and has finished.
    locked_courses, counts, *student_results = run_pipeline(
        (LOCK_COURSES, [unlocked]),
        (SEAT_COUNTS, [unlocked]),
        *_student_queries(commands, context, LOCK_STUDENTS),
    )
    context.courses.update((course.pk, course) for course in locked_courses)
    _store_seat_counts(counts, context)
    _load_remaining_facts(commands, context, actor, course_ids_to_load, LOCK_STUDENTS, student_results)


def load_unlocked(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    actor: ActorContext,
    *,
    course_ids: Iterable[int] = (),
) -> None:
    """
    Read the same facts as ``lock_and_load`` without locks: first the courses with their seats, as of one instant.

    The other facts are read later and may be newer. A decision based on them can only be a preview, or a refusal that
    was correct at that instant.
    """
    course_ids_to_load = _course_ids_to_load(commands, context) | set(course_ids)
    courses, *student_results = run_pipeline(
        (COURSES_WITH_SEATS, [list(course_ids_to_load)]), *_student_queries(commands, context, STUDENTS_BY_ID)
    )
    for course in courses:
        seats = get_seats(course)
        context.courses[course.pk] = course
        context.seats_taken[course.pk], context.waitlist_lengths[course.pk] = seats.taken, seats.waiting
    _load_remaining_facts(commands, context, actor, course_ids_to_load, STUDENTS_BY_ID, student_results)


def _load_remaining_facts(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    actor: ActorContext,
    course_ids_to_load: set[int],
    students: PreparedQuery[Student],
    student_results: Sequence[list[Any]],
) -> None:
    """Read the clock, waitlists, prerequisites and journal, after the courses and their seats."""
    # Read the clock only now: a request that acquires the locks later must have a later time.
    context.now = actor.at or timezone.now()
    context.__dict__.pop("today", None)
    context.may_waive = actor.may_waive
    _load_waitlists(commands, context, course_ids_to_load & context.courses.keys(), students)
    _store_students(commands, context, *student_results)
    _load_completed(context, course_ids_to_load, actor.row_scope)
    _load_last_events(commands, context)


def _course_ids_to_load(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> set[int]:
    """Return the ids of the commands' courses, and of other courses for which they may qualify waitlisted students."""
    _load_other_waitlists(commands, context)
    others = (course_id for courses in context.other_waitlists.values() for course_id in courses)
    return {*(command.course_id for command in commands), *others}


def _load_other_waitlists(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> None:
    """
    Find the courses with prerequisites in which students of COMPLETE commands are waitlisted.

    A completion may qualify the student for a seat there, so these courses must be locked too.
    """
    completing = {command.student_id for command in commands if command.action == Action.COMPLETE}
    context.other_waitlists = {}
    if not completing:
        return
    waitlisted = StudentCourse.objects.waitlisted().filter(student__pk__any_of=list(completing))
    with_prerequisites = waitlisted.exclude(course__prerequisites=[]).order_by("course")
    for student_id, course_id in with_prerequisites.values_list("student", "course"):
        context.other_waitlists.setdefault(student_id, []).append(course_id)


def _store_seat_counts(counts: Iterable[tuple[int, int, Any]], context: DecisionContext) -> None:
    for course_id, count, last_waitlisted_at in counts:
        if last_waitlisted_at is None:
            context.seats_taken[course_id] = count
        else:
            context.waitlist_lengths[course_id] = count
            context.last_waitlisted_at[course_id] = last_waitlisted_at


def _load_waitlists(
    commands: Iterable[EnrollmentCommand],
    context: DecisionContext,
    course_ids: Iterable[int],
    students: PreparedQuery[Student],
) -> None:
    """Read the waitlists of courses with a seat that is or may become free, with waivers and pass-overs."""
    freed_ids = {command.course_id for command in commands if command.action in SEAT_FREEING_ACTIONS}
    may_gain_seat = {pk for pk in course_ids if pk in freed_ids or context.has_seat(pk)}
    with_waiters = {pk for pk in may_gain_seat if context.waitlist_lengths[pk]}
    # With the empty ones too: a student that joins one in this batch must be in it for the later commands.
    context.waitlists = {pk: [] for pk in may_gain_seat}
    context.waitlist_waivers, context.last_pass_over_codes = {}, {}
    if not with_waiters:
        return
    waiters = list(StudentCourse.objects.in_waitlist_order().filter(course__in=with_waiters))
    students_by_id = {student.pk: student for student in students(list({waiter.student_id for waiter in waiters}))}
    for waiter in waiters:
        if waiter.student_id in students_by_id:
            waiter.course, waiter.student = context.courses[waiter.course_id], students_by_id[waiter.student_id]
            context.waitlists[waiter.course_id].append(waiter)
    waitlist_events = EnrollmentEvent.objects.filter(
        Q(action=Action.ENROLL, to_status=Status.WAITLISTED) & ~Q(waived=[]) | Q(action=Action.PASS_OVER),
        enrollment__pk__any_of=[waiter.pk for waiter in waiters],
    )
    keys = {waiter.pk: waiter.key for waiter in waiters}
    for event in waitlist_events.order_by("pk"):
        key = keys[event.enrollment_id]
        if event.action == Action.PASS_OVER:
            context.last_pass_over_codes[key] = event.refusals
        else:
            context.waitlist_waivers[key] = frozenset(event.waived)


def _lock_courses(ids: Collection[int]) -> QuerySet[Course]:
    courses = Course.objects.filter(pk__any_of=ids).select_related("term").order_by("pk")
    return courses.select_for_update(of=("self",), no_key=True)


def _students_by_id(ids: Collection[int]) -> QuerySet[Student]:
    return Student.objects.filter(pk__any_of=ids).order_by("pk")


def _with_capacity(ids: Collection[int]) -> QuerySet[Course]:
    return Course.objects.filter(pk__any_of=ids, capacity__isnull=False)


def _count_by_course(enrollments: QuerySet[StudentCourse]) -> QuerySet[Any, Any]:
    return enrollments.order_by().values_list("course").annotate(Count("pk"))


def _enrollments_of(students: Collection[int], courses: Collection[int]) -> QuerySet[StudentCourse]:
    return StudentCourse.objects.filter(pair_in("student_id", "course_id", students, courses)).order_by("pk")


def _student_queries(
    commands: Collection[EnrollmentCommand], context: DecisionContext, students: PreparedQuery[Student]
) -> Iterator[tuple[PreparedQuery[Any], Sequence[Any]]]:
    """Yield the queries about the students of the commands: their enrollments in the courses, and the students."""
    keys = {command.key for command in commands}
    id_lists = [key[0] for key in keys], [key[1] for key in keys]
    if context.partial_rows:
        yield LATEST_PARTIAL_ROWS, id_lists
    else:
        yield LATEST_ENROLLMENTS, id_lists
        yield students, [list({command.student_id for command in commands})]


def _store_students(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    enrollments: list[Any],
    students: Collection[Student] = (),
) -> None:
    """Store the results in the context, and set the enrollments' course and student."""
    keys = {command.key for command in commands}
    rows = (
        instances_from_rows(StudentCourse, DECISION_COLUMNS, enrollments) if context.partial_rows else iter(enrollments)
    )
    context.latest_enrollments = {key: row for row in rows if (key := row.key) in keys and key[1] in context.courses}
    waiters_by_key = {waiter.key: waiter for waitlist in context.waitlists.values() for waiter in waitlist}
    context.latest_enrollments |= {key: waiter for key, waiter in waiters_by_key.items() if key in keys}
    waitlisted_students = [waiter.student for waiter in waiters_by_key.values()]
    if context.partial_rows:
        undecided_ids = {command.student_id for command in commands if not is_unconditional_noop(command, context)}
        context.student_is_active = dict(STUDENT_ACTIVE(list(undecided_ids)))
    else:
        context.students = {student.pk: student for student in [*students, *waitlisted_students]}
        context.student_is_active = {pk: student.is_active for pk, student in context.students.items()}
        for row in context.latest_enrollments.values():
            context.set_related_objects(row)
    context.student_is_active |= {student.pk: student.is_active for student in waitlisted_students}


def _load_completed(context: DecisionContext, course_ids_to_load: set[int], row_scope: RowScope | None) -> None:
    """Count the students' completed enrollments in prerequisites of the courses."""
    context.completed = Counter()
    prerequisite_codes = {
        code for pk in course_ids_to_load & context.courses.keys() for code in context.courses[pk].prerequisites
    }
    if prerequisite_codes:
        completed = StudentCourse.objects.completed().filter(course__code__in=prerequisite_codes)
        of_students = completed.filter(student__pk__any_of=context.student_is_active.keys())
        context.completed.update(of_students.values_list("student", "course__code"))
        context.visible_codes = visible_codes(row_scope)


def effective_events() -> QuerySet[EnrollmentEvent]:
    """Return the journal entries without system-generated ones (``SYSTEM_ACTIONS``) and without undone adoptions."""
    undone = Import.objects.filter(state__in=(State.UNDONE, State.PARTLY_UNDONE)).values("pk")
    events = EnrollmentEvent.objects.exclude(action__in=SYSTEM_ACTIONS)
    events = events.exclude(action=Action.ADOPT, file_import__in=undone)
    return events.exclude(action=Action.UNDO, from_status=F("to_status"), changes={})  # the undo of an adoption


def _load_last_events(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> None:
    context.last_events = {}
    import_ids = {
        command.key: command.only_if_changed_by_import for command in commands if command.action == Action.UNDO
    }
    if not import_ids:
        return
    enrollments = [context.latest_enrollments[key] for key in import_ids if key in context.latest_enrollments]
    events = effective_events().filter(enrollment__in=enrollments).order_by("pk").select_related("enrollment")
    # Only the undo of an import considers adoptions: any other undo applies to the entry before them.
    considered = (event for event in events if event.action != Action.ADOPT or import_ids[event.enrollment.key])
    context.last_events = {event.enrollment.key: event for event in considered}
