"""
Loads the waitlists of courses in which a seat is or may become free.

A waitlisted student may have asked for a swap: the student leaves another course for the seat. The seat that becomes
free there goes to its waitlist, and so on, so all of these courses and waitlists are loaded too. So are the courses
that a student waits for and that require the course in which the student may get a seat.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Q, QuerySet

from courses.models import Course
from school.db.compiled_queries import PreparedQuery
from school.db.lookups import pair_in
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import SEAT_FREEING_ACTIONS, DecisionContext
from students.enrollment.other_courses_loading import dependent_waits, waits_for_corequisites
from students.models import Action, EnrollmentEvent, Status, Student, StudentCourse

# The latest row of a key comes last: an open row is always newer than the ended ones.
LATEST_ENROLLMENTS: PreparedQuery[StudentCourse] = PreparedQuery(lambda *keys: enrollments_of(*keys))
# For many students of one course. For pairs, PostgreSQL may read the whole course for each student, if its statistics
# are from before the rows were written.
LATEST_ENROLLMENTS_IN_COURSE: PreparedQuery[StudentCourse] = PreparedQuery(
    lambda students, course: StudentCourse.objects.filter(
        student__pk__any_of=students, course__pk__any_of=course
    ).order_by("pk")
)


def enrollments_of(students: Any, courses: Any) -> QuerySet[StudentCourse]:
    """Return the enrollments of pairs of a student and a course, the latest one of a pair last."""
    return StudentCourse.objects.filter(pair_in("student_id", "course_id", students, courses)).order_by("pk")


def load_waitlists(
    commands: Iterable[EnrollmentCommand],
    context: DecisionContext,
    course_ids: Iterable[int],
    students: PreparedQuery[Student],
) -> None:
    """Read the waitlists of courses with a seat that is or may become free, with waivers and pass-overs."""
    freed_ids = {command.course_id for command in commands if command.action in SEAT_FREEING_ACTIONS}
    freed_ids |= {command.instead_of for command in commands if command.instead_of is not None}
    context.waitlists, context.waitlist_waivers, context.last_pass_over_codes, context.requiring = {}, {}, {}, {}
    context.swapped = set()  # a later batch with the same context reads them again
    _add_waitlists({pk for pk in course_ids if pk in freed_ids or context.has_seat(pk)}, context, students)


def _add_waitlists(course_ids: Collection[int], context: DecisionContext, students: PreparedQuery[Student]) -> None:
    with_waiters = {pk for pk in course_ids if context.waitlist_lengths[pk]}
    # With the empty ones too: a student that joins one in this batch must be in it for the later commands.
    context.waitlists |= {pk: [] for pk in course_ids}
    for pk in course_ids:
        for code in context.courses[pk].corequisites:
            context.requiring.setdefault(code, []).append(pk)
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


def load_swaps(context: DecisionContext, students: PreparedQuery[Student]) -> set[int]:
    """
    Load what students leave if they get the seats that they wait for, and the waitlists of the courses that they leave.

    Return the ids of courses that must be loaded for this, and are not yet. There is no query if nobody waits for a
    swap.
    """
    swaps: set[tuple[int, int]] = set()
    while found := _swaps(context) - swaps:
        swaps |= found
        left = {course_id for _student, course_id in found} & context.courses.keys()
        _add_waitlists(left - context.waitlists.keys(), context, students)
    if not swaps:
        return set()
    waiters = [waiter for waitlist in context.waitlists.values() for waiter in waitlist]
    # A row must not have two instances.
    context.latest_enrollments |= {each.key: each for each in waiters if each.key in context.latest_enrollments}
    context.students |= {each.student_id: each.student for each in waiters if each.student_id not in context.students}
    context.student_is_active |= {each.student_id: each.student.is_active for each in waiters}
    student_ids, course_ids = {student for student, _course in swaps}, {course for _student, course in swaps}
    left_rows = LATEST_ENROLLMENTS([student for student, _course in swaps], [course for _student, course in swaps])
    for row in left_rows:
        known = context.latest_enrollments.get(row.key)
        if row.course_id in context.courses and (known is None or known.pk < row.pk):
            context.latest_enrollments[row.key] = row
            context.set_related_objects(row)
    # A student who leaves a course may qualify for others.
    for student_id, course_id in dependent_waits(list(student_ids)).values_list("student", "course"):
        course_ids.add(course_id)
        if course_id not in context.other_waitlists.setdefault(student_id, []):
            context.other_waitlists[student_id].append(course_id)
    return course_ids - context.courses.keys()


def unloaded_corequisite_waits(context: DecisionContext, covered: Collection[int], loaded: Collection[int]) -> set[int]:
    """
    Return the ids of courses that are not ``loaded``, and for which students may qualify by a promotion: they wait in a
    loaded waitlist of one of the corequisites.

    Those for which students on the waitlists of the ``covered`` courses wait are loaded already. There is no query if
    nobody waits in another course.
    """
    waitlists = {pk: waitlist for pk, waitlist in context.waitlists.items() if waitlist and pk not in covered}
    if not waitlists:
        return set()
    student_ids = list({waiter.student_id for waitlist in waitlists.values() for waiter in waitlist})
    waits = waits_for_corequisites(student_ids).values_list("course", flat=True).distinct()
    return unloaded_waits(waits, context, loaded, waitlists)


def unloaded_waits(
    waits: Iterable[int], context: DecisionContext, loaded: Collection[int], course_ids: Iterable[int]
) -> set[int]:
    """Return those of the courses in which students wait that are not loaded and require one of these courses."""
    missing = {*waits} - {*loaded}
    if not missing:
        return set()
    taken = {(each.code, each.term_id) for pk in course_ids if (each := context.courses.get(pk))}
    waiting = Course.objects.filter(pk__in=missing)
    return {each.pk for each in waiting if any((code, each.term_id) in taken for code in each.corequisites)}


def _swaps(context: DecisionContext) -> set[tuple[int, int]]:
    """Return the student and the course to leave of each swap that somebody waits for."""
    waiters = [waiter for waitlist in context.waitlists.values() for waiter in waitlist]
    rows = [*waiters, *context.latest_enrollments.values()]
    return {(row.student_id, row.instead_of_id) for row in rows if row.instead_of_id is not None}
