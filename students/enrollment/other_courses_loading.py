"""
Locks students and loads the courses that they have, where a rule about a course reads them.

Without this lock, two transactions that lock different courses could give a student both of them, although the rules
allow only one. Students are locked after all courses, by id. FOR NO KEY UPDATE conflicts with itself and with every
change of a student, but not with FOR KEY SHARE, which enrollments in other courses take.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Q, QuerySet

from courses.models import Course, depends_on_other_courses
from courses.prerequisites import visible_codes
from school.access.row_scope import RowScope
from school.db.compiled_queries import PreparedQuery, run_pipeline
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import SEAT_FREEING_ACTIONS, DecisionContext
from students.enrollment.other_courses import OtherCourses
from students.models import OPEN_STATUSES, Action, Status, Student, StudentCourse

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
ENROLL = Action.ENROLL

NO_TERM = 0  # the id of no term; an empty list is no value for a prepared query

MAX_CREDITS: PreparedQuery[Any] = PreparedQuery(lambda ids: _max_credits(ids))
LOCK_FOR_OTHER_COURSES: PreparedQuery[Any] = PreparedQuery(lambda ids: _max_credits(ids), "FOR NO KEY UPDATE")
# The courses in which students have a seat or wait for one, and those that they have completed in some terms.
HELD_COURSES: PreparedQuery[Any] = PreparedQuery(
    lambda ids, terms: (
        StudentCourse.objects.filter(student__pk__any_of=ids)
        .filter(
            Q(status__in=OPEN_STATUSES)
            | Q(status=Status.COMPLETED, course__credits__isnull=False, course__term__pk__any_of=terms)
        )
        .order_by("pk")
        .values_list("student", "course", "status")
    )
)
COURSES: PreparedQuery[Course] = PreparedQuery(
    lambda ids: Course.objects.filter(pk__any_of=ids).select_related("term").order_by("pk")
)


def load_other_courses(
    commands: Collection[EnrollmentCommand], context: DecisionContext, row_scope: RowScope | None, *, locking: bool
) -> None:
    """
    Load the courses of the students whose commands or waitlist places are in a course that depends on them.

    With ``locking`` lock these students first. There is no query if no course depends on others.
    """
    if context.other_courses.max_credits:
        context.other_courses = OtherCourses()
    dependent = {pk for pk in context.courses if context.depends_on_other_courses(pk)}
    if not dependent:
        return
    ids = {command.student_id for command in commands if command.course_id in dependent}
    ids |= {waiter.student_id for pk in dependent for waiter in context.waitlists.get(pk, ())}
    if not ids:
        return
    terms = {context.courses[pk].term_id or NO_TERM for pk in dependent}
    # The second statement starts when the first one has its locks, so it sees all that was committed before.
    students, held = run_pipeline(
        (LOCK_FOR_OTHER_COURSES if locking else MAX_CREDITS, [list(ids)]), (HELD_COURSES, [list(ids), list(terms)])
    )
    others = COURSES(list({course_id for _student, course_id, _status in held} - context.courses.keys()))
    courses = context.courses | {course.pk: course for course in others}
    context.other_courses = OtherCourses(dict(students))
    for student_id, course_id, status in held:
        context.other_courses.apply_change(student_id, courses[course_id], "", status)
    context.visible_codes = visible_codes(row_scope)


def leaving_students(commands: Iterable[EnrollmentCommand]) -> list[int]:
    """Return the ids of the students who may have less in other courses after the commands."""
    leaving = (each for each in commands if each.action in SEAT_FREEING_ACTIONS or each.instead_of is not None)
    return list({command.student_id for command in leaving})


def joining_students(commands: Iterable[EnrollmentCommand]) -> list[int]:
    """Return the ids of the students who may take a corequisite of other courses by the commands."""
    return list({command.student_id for command in commands if command.action == ENROLL})


def waits_for_corequisites(student_ids: Any) -> QuerySet[StudentCourse]:
    """Return the waitlist places of the students in courses that have corequisites."""
    waitlisted = StudentCourse.objects.waitlisted().filter(student__pk__any_of=student_ids)
    return waitlisted.exclude(course__corequisites=[]).order_by()


def waits_of_promotable(ids: Any) -> QuerySet[StudentCourse]:
    """Return the waitlist places, in courses that have corequisites, of the students who wait for these courses."""
    waiting = StudentCourse.objects.waitlisted().filter(course__pk__any_of=ids).order_by().values("student")
    waitlisted = StudentCourse.objects.waitlisted().filter(student__in=waiting)
    return waitlisted.exclude(course__corequisites=[]).order_by()


def with_dependent_waits(ids: Any, student_ids: Any) -> QuerySet[Course]:
    """
    Return the courses with these ids, those for which the students wait that depend on their other courses, and, of the
    students who wait for one with these ids, those that they leave for it and those with corequisites that they wait
    for.
    """
    waits = dependent_waits(student_ids).values("course")
    requiring = waits_of_promotable(ids).values("course")
    swaps = StudentCourse.objects.filter(course__pk__any_of=ids, instead_of__isnull=False).order_by()
    own = Course.objects.filter(pk__any_of=ids).order_by().values("pk")
    return Course.objects.filter(pk__in=own.union(waits, requiring, swaps.values("instead_of")))


def dependent_waits(student_ids: Any) -> QuerySet[StudentCourse]:
    """Return the waitlist places of the students in courses that depend on their other courses."""
    waitlisted = StudentCourse.objects.waitlisted().filter(student__pk__any_of=student_ids)
    return waitlisted.filter(depends_on_other_courses("course__")).order_by()


def _max_credits(ids: Any) -> QuerySet[Student, Any]:
    return Student.objects.filter(pk__any_of=ids).order_by("pk").values_list("pk", "max_credits")
