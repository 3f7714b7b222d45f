"""
Loads the facts on which decisions depend.

A decision that is carried out reads them under locks: first the courses, by id, then the students, by id. A preview
reads the same facts without locks.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db.models import Count, DateTimeField, F, Max, QuerySet, Value
from django.utils import timezone

from courses.grades import make_table
from courses.models import Course, Grade, has_other_sections
from courses.prerequisite_items import all_codes, minimum_grades
from courses.prerequisites import visible_codes
from school.access.row_scope import RowScope
from school.db.compiled_queries import PreparedQuery, run_pipeline
from school.db.fast_model_instances import instances_from_rows
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext, EnrollmentKey
from students.enrollment.last_events_loading import load_last_events
from students.enrollment.other_courses_loading import (
    joining_students,
    leaving_students,
    load_other_courses,
    waits_for_corequisites,
    waits_of_promotable,
    with_dependent_waits,
)
from students.enrollment.other_waits_loading import (
    load_dependent_waits,
    load_waits_with_prerequisites,
    may_pass,
    other_waits,
)
from students.enrollment.transitions import is_unconditional_noop
from students.enrollment.waitlist_loading import (
    LATEST_ENROLLMENTS,
    LATEST_ENROLLMENTS_IN_COURSE,
    enrollments_of,
    load_swaps,
    load_waitlists,
    unloaded_corequisite_waits,
    unloaded_waits,
)
from students.events.journal import TRACKED_FIELDS
from students.lookup import STUDENTS_BY_ID
from students.models import Action, Hold, Student, StudentCourse
from students.seats import annotate_seats, get_seats

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
COMPLETE, UNDO = Action.COMPLETE, Action.UNDO

# All queries take lists of ids, so that one command uses the same statements as a thousand.
LOCK_COURSES: PreparedQuery[Course] = PreparedQuery(lambda ids: _locked(Course.objects.filter(pk__any_of=ids)))
# In addition, the courses in which students who leave a course may get a seat. They are in the same statement, so all
# courses are locked in one order, and a transaction that frees nothing for another course needs no other query.
LOCK_COURSES_AND_WAITS: PreparedQuery[Course] = PreparedQuery(lambda *ids: _locked(with_dependent_waits(*ids)))
# The number of enrolled students per course with a capacity, and of waitlisted students per course; only rows of
# waitlisted students have ``last_waitlisted_at``. A count of 0 means that there are other sections of the course. A
# negative count is the negated id of a student who waits for the course. Such a student is one of the command, who may
# get a seat there by joining another course, or waits for one of the courses, too, and may qualify by a promotion.
SEAT_COUNTS: PreparedQuery[Any] = PreparedQuery(lambda *ids: _seat_counts(*ids))
SEAT_COUNTS_AND_WAITS: PreparedQuery[Any] = PreparedQuery(
    lambda ids, students: _seat_counts(ids, students, _negated_students(waits_of_promotable(ids)))
)
COURSES_WITH_SEATS: PreparedQuery[Course] = PreparedQuery(
    lambda ids: _with_seats(Course.objects.filter(pk__any_of=ids))
)
COURSES_WITH_SEATS_AND_WAITS: PreparedQuery[Course] = PreparedQuery(
    lambda *ids: _with_seats(with_dependent_waits(*ids))
)
# Transactions that deactivate, erase or delete a student lock it FOR UPDATE, which conflicts with FOR KEY SHARE. Other
# changes of the student, and other enrollments of the student, do not wait; FOR SHARE would block every change of a
# name.
KEY_SHARE = "FOR KEY SHARE"
LOCK_STUDENTS: PreparedQuery[Student] = PreparedQuery(lambda ids: _students_by_id(ids), KEY_SHARE)
DECISION_COLUMNS = ("id", "student_id", "course_id", "status", *TRACKED_FIELDS, "version")
LATEST_PARTIAL_ROWS: PreparedQuery[Any] = PreparedQuery(
    lambda *keys: enrollments_of(*keys).values_list(*DECISION_COLUMNS)
)
STUDENT_ACTIVE: PreparedQuery[Any] = PreparedQuery(
    lambda ids: _students_by_id(ids).values_list("pk", "is_active", "has_holds"), KEY_SHARE
)

MANY_KEYS = 500
NONE = 0  # the id of no row; an empty list is no value for a prepared query
GRADES: PreparedQuery[Any] = PreparedQuery(lambda: Grade.objects.values_list("code", "passes", "rank"))


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
    context.other_waitlists = {}
    course_ids_to_load = _course_ids_to_load(commands, context) | set(course_ids)
    unlocked = list(course_ids_to_load - context.courses.keys())
    joining = joining_students(commands)
    # Sent together; each statement starts when the one before it has its locks and has finished.
    locked_courses, counts, grades, *student_results = run_pipeline(
        _courses_query(commands, unlocked, LOCK_COURSES, LOCK_COURSES_AND_WAITS),
        (
            SEAT_COUNTS_AND_WAITS if _may_free_seats(commands, unlocked) else SEAT_COUNTS,
            [unlocked or [NONE] * bool(joining), joining or [NONE]],
        ),
        _grades_query(commands),
        *_student_queries(commands, context, LOCK_STUDENTS),
    )
    waits = {course.pk for course in locked_courses} - course_ids_to_load
    promotable_waits = _store_seat_counts(counts, context, joining)
    if waits:
        _store_seat_counts(SEAT_COUNTS(list(waits - context.courses.keys()), [NONE]), context)
    context.courses.update((course.pk, course) for course in locked_courses)
    course_ids_to_load |= waits
    if missing := other_waits(context) - course_ids_to_load:
        lock_and_load(commands, context, actor, course_ids=course_ids_to_load | missing)
        return
    load_dependent_waits(commands, context, course_ids_to_load)
    context.grades = make_table(grades) if _sets_grades(commands) else None
    covered: Collection[int] = unlocked if _may_free_seats(commands, course_ids_to_load) else course_ids_to_load
    missing = unloaded_waits(promotable_waits, context, course_ids_to_load, unlocked)
    missing = missing or _load_remaining_facts(
        commands, context, actor, course_ids_to_load, LOCK_STUDENTS, student_results, covered
    )
    if missing:
        lock_and_load(commands, context, actor, course_ids=course_ids_to_load | missing)


def load_unlocked(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    actor: ActorContext,
    *,
    course_ids: Iterable[int] = (),
    promoting: bool = True,
) -> None:
    """
    Read the same facts as ``lock_and_load`` without locks: first the courses with their seats, as of one instant.

    The other facts are read later and may be newer. A decision based on them can only be a preview, or a refusal that
    was correct at that instant. Without ``promoting`` the caller uses refusals only.
    """
    context.other_waitlists = {}
    course_ids_to_load = _course_ids_to_load(commands, context) | set(course_ids)
    joining = joining_students(commands) if promoting else []
    courses, grades, *student_results = run_pipeline(
        _courses_query(commands, list(course_ids_to_load), COURSES_WITH_SEATS, COURSES_WITH_SEATS_AND_WAITS),
        _grades_query(commands),
        *_student_queries(commands, context, STUDENTS_BY_ID),
    )
    context.grades = make_table(grades) if _sets_grades(commands) else None
    for course in courses:
        seats = get_seats(course)
        context.courses[course.pk] = course
        context.seats_taken[course.pk], context.waitlist_lengths[course.pk] = seats.taken, seats.waiting
        if course.has_sections:
            context.with_sections.add(course.pk)
    for wait in waits_for_corequisites(joining).values_list("course", "student") if joining else ():
        context.other_waitlists.setdefault(wait[1], []).append(wait[0])
    covered = course_ids_to_load
    course_ids_to_load = course_ids_to_load | {course.pk for course in courses}
    if missing := other_waits(context) - course_ids_to_load:
        load_unlocked(commands, context, actor, course_ids=course_ids_to_load | missing)
        return
    load_dependent_waits(commands, context, course_ids_to_load)
    if not _may_free_seats(commands, covered):
        covered = course_ids_to_load
    missing = _load_remaining_facts(
        commands, context, actor, course_ids_to_load, STUDENTS_BY_ID, student_results, covered
    )
    if missing:
        load_unlocked(commands, context, actor, course_ids=course_ids_to_load | missing)


def _load_remaining_facts(
    commands: Collection[EnrollmentCommand],
    context: DecisionContext,
    actor: ActorContext,
    course_ids_to_load: set[int],
    students: PreparedQuery[Student],
    student_results: Sequence[list[Any]],
    covered: Collection[int],
) -> set[int]:
    """
    Read the clock, waitlists, prerequisites and journal, after the courses and their seats.

    Return the ids of other courses that must be loaded too, which only these facts show. ``covered`` as in
    ``unloaded_corequisite_waits``.
    """
    # Read the clock only now: a request that acquires the locks later must have a later time.
    context.now = actor.at or timezone.now()
    context.__dict__.pop("today", None)
    context.may_waive = actor.may_waive
    load_waitlists(commands, context, course_ids_to_load & context.courses.keys(), students)
    _store_students(commands, context, *student_results)
    missing = load_swaps(context, students) | unloaded_corequisite_waits(context, covered, course_ids_to_load)
    if missing:  # no student is locked for the other courses before all courses are
        return missing
    load_other_courses(commands, context, actor.row_scope, locking=students is LOCK_STUDENTS)
    _load_completed(context, course_ids_to_load | context.waitlists.keys(), actor.row_scope)
    load_last_events(commands, context)
    return _courses_by_restored_grades(commands, context)


def _course_ids_to_load(commands: Collection[EnrollmentCommand], context: DecisionContext) -> set[int]:
    """Return the ids of the commands' courses, and of other courses for which they may qualify waitlisted students."""
    load_waits_with_prerequisites(commands, context)
    return {*(course_id for _student, course_id in _keys(commands)), *other_waits(context)}


def _keys(commands: Collection[EnrollmentCommand]) -> set[EnrollmentKey]:
    """Return the ids of student and course of each enrollment that the commands may change."""
    keys = {(command.student_id, command.course_id) for command in commands}
    return keys | {(each.student_id, each.instead_of) for each in commands if each.instead_of is not None}


def _sets_grades(commands: Iterable[EnrollmentCommand]) -> bool:
    return any(command.grade and command.action == COMPLETE for command in commands)


def _grades_query(commands: Iterable[EnrollmentCommand]) -> tuple[PreparedQuery[Any], Sequence[Any]]:
    """Return the query of the table of grades; it is not run if no command sets a grade."""
    return GRADES, [] if _sets_grades(commands) else [[]]


def _store_seat_counts(
    counts: Iterable[tuple[int, int, Any]], context: DecisionContext, joining: Collection[int] = ()
) -> set[int]:
    """Store the counts, and the waits of the students who join a course; return the courses of the other waits."""
    joining, others = {*joining}, set()
    for course_id, count, last_waitlisted_at in counts:
        if count < 0 and -count not in joining:
            others.add(course_id)
        elif count < 0:
            context.other_waitlists.setdefault(-count, []).append(course_id)
        elif not count:
            context.with_sections.add(course_id)
        elif last_waitlisted_at is None:
            context.seats_taken[course_id] = count
        else:
            context.waitlist_lengths[course_id] = count
            context.last_waitlisted_at[course_id] = last_waitlisted_at
    return others


def _locked(courses: QuerySet[Course]) -> QuerySet[Course]:
    return courses.select_related("term").order_by("pk").select_for_update(of=("self",), no_key=True)


def _with_seats(courses: QuerySet[Course]) -> QuerySet[Course]:
    return annotate_seats(courses.select_related("term").order_by("pk")).annotate(has_sections=has_other_sections())


def _courses_query(
    commands: Collection[EnrollmentCommand],
    ids: list[int],
    courses: PreparedQuery[Course],
    courses_and_waits: PreparedQuery[Course],
) -> tuple[PreparedQuery[Course], Sequence[Any]]:
    """
    Return the query of courses.

    If a seat may become free, it includes the courses in which students may get a seat who leave one of these courses,
    or who wait for one of these and will leave another one.
    """
    students = leaving_students(commands)
    args = [ids or [NONE], students or [NONE]]
    return (courses_and_waits, args) if _may_free_seats(commands, ids) else (courses, [ids])


def _may_free_seats(commands: Collection[EnrollmentCommand], ids: Collection[int]) -> bool:
    """Return True if a seat in the courses may become free, or if they are loaded for promotions only."""
    return bool(leaving_students(commands) if commands else ids)


def _students_by_id(ids: Collection[int]) -> QuerySet[Student]:
    return Student.objects.filter(pk__any_of=ids).order_by("pk")


def _with_capacity(ids: Collection[int]) -> QuerySet[Course]:
    return Course.objects.filter(pk__any_of=ids, capacity__isnull=False)


def _count_by_course(enrollments: QuerySet[StudentCourse]) -> QuerySet[Any, Any]:
    return enrollments.order_by().values_list("course").annotate(Count("pk"))


def _seat_counts(ids: Any, students: Any, *others: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    in_sections = Course.objects.filter(has_other_sections(), pk__any_of=ids).order_by().values_list("pk")
    return (
        _count_by_course(StudentCourse.objects.enrolled().filter(course__in=_with_capacity(ids)))
        .annotate(newest=Value(None, DateTimeField()))
        .union(
            _count_by_course(StudentCourse.objects.waitlisted().filter(course__pk__any_of=ids)).annotate(
                newest=Max("waitlisted_at")
            ),
            in_sections.annotate(count=Value(0), newest=Value(None, DateTimeField())),
            _negated_students(waits_for_corequisites(students)),
            *others,
            all=True,
        )
    )


def _negated_students(waits: QuerySet[StudentCourse]) -> QuerySet[Any, Any]:
    return waits.values_list("course").annotate(count=-F("student_id"), newest=Value(None, DateTimeField()))


def _student_queries(
    commands: Collection[EnrollmentCommand], context: DecisionContext, students: PreparedQuery[Student]
) -> Iterator[tuple[PreparedQuery[Any], Sequence[Any]]]:
    """Yield the queries about the students of the commands: their enrollments in the courses, and the students."""
    keys = _keys(commands)
    id_lists = [key[0] for key in keys], [key[1] for key in keys]
    if context.partial_rows:
        yield LATEST_PARTIAL_ROWS, id_lists
    else:
        if len(keys) > MANY_KEYS and len(set(id_lists[1])) == 1:
            yield LATEST_ENROLLMENTS_IN_COURSE, [id_lists[0], id_lists[1][:1]]
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
    keys = _keys(commands)
    rows = (
        instances_from_rows(StudentCourse, DECISION_COLUMNS, enrollments) if context.partial_rows else iter(enrollments)
    )
    context.latest_enrollments = {key: row for row in rows if (key := row.key) in keys and key[1] in context.courses}
    waiters_by_key = {waiter.key: waiter for waitlist in context.waitlists.values() for waiter in waitlist}
    context.latest_enrollments |= {key: waiter for key, waiter in waiters_by_key.items() if key in keys}
    waitlisted_students = [waiter.student for waiter in waiters_by_key.values()]
    if context.partial_rows:
        undecided_ids = {command.student_id for command in commands if not is_unconditional_noop(command, context)}
        flags = STUDENT_ACTIVE(list(undecided_ids))
        context.student_is_active = {pk: is_active for pk, is_active, _has_holds in flags}
        held = {pk for pk, _is_active, has_holds in flags if has_holds}
    else:
        context.students = {student.pk: student for student in [*students, *waitlisted_students]}
        context.student_is_active = {pk: student.is_active for pk, student in context.students.items()}
        for row in context.latest_enrollments.values():
            context.set_related_objects(row)
        held = {pk for pk, student in context.students.items() if student.has_holds}
    context.student_is_active |= {student.pk: student.is_active for student in waitlisted_students}
    held |= {student.pk for student in waitlisted_students if student.has_holds}
    context.holds = Hold.objects.open_by_student(held) if held else {}


def _load_completed(context: DecisionContext, course_ids_to_load: set[int], row_scope: RowScope | None) -> None:
    """Count the students' completed enrollments in prerequisites and corequisites of the courses."""
    context.completed, context.completed_with = defaultdict(int), defaultdict(int)
    courses = [context.courses[pk] for pk in course_ids_to_load & context.courses.keys()]
    items = [item for course in courses for item in (*course.prerequisites, *course.corequisites)]
    if not items:
        return
    completed = StudentCourse.objects.completed().filter(course__code__in=all_codes(items))
    of_students = completed.filter(student__pk__any_of=context.student_is_active.keys())
    rows = list(of_students.values_list("student", "course__code", "grade"))
    if context.grades is None and (any(grade for *_key, grade in rows) or minimum_grades(items)):
        context.grades = make_table(GRADES())
    for row in rows:
        context.count_completion(*row)
    context.visible_codes = visible_codes(row_scope)


def _courses_by_restored_grades(commands: Collection[EnrollmentCommand], context: DecisionContext) -> set[int]:
    """
    Return the courses for which students may qualify by an undo of a changed grade, if they are not loaded yet.

    Only the journal says what an undo restores, so they are found, and locked, after the other courses.
    """
    if not any(command.action == UNDO and may_pass(command, context) for command in commands):
        return set()
    if context.grades is None:
        context.grades = make_table(GRADES())
    if not context.grades:
        return set()
    load_waits_with_prerequisites(commands, context)
    return other_waits(context) - context.courses.keys()
