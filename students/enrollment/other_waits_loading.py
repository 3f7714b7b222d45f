"""
Finds the other courses in which students of commands wait, and may qualify for a seat by the commands.

They are stored in ``DecisionContext.other_waitlists``, and must be locked like the courses of the commands.
"""

from collections.abc import Collection, Iterable

from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext
from students.enrollment.other_courses_loading import dependent_waits, leaving_students
from students.models import Action, Status, StudentCourse

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
COMPLETE, UNDO = Action.COMPLETE, Action.UNDO


def other_waits(context: DecisionContext) -> set[int]:
    """Return the ids of the courses that were found."""
    return {course_id for courses in context.other_waitlists.values() for course_id in courses}


def may_pass(command: EnrollmentCommand, context: DecisionContext) -> bool:
    """Return True if the student may pass the course by the command: a completion, or the undo of another grade."""
    if command.action != UNDO:
        return command.action == COMPLETE
    last = context.last_events.get(command.key)
    return last is not None and last.from_status == last.to_status == Status.COMPLETED and "grade" in last.changes


def load_waits_with_prerequisites(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> None:
    """Add the courses with prerequisites in which students wait who may pass a course by a command."""
    passing = {command.student_id for command in commands if may_pass(command, context)}
    if passing:
        waitlisted = StudentCourse.objects.waitlisted().filter(student__pk__any_of=list(passing))
        with_prerequisites = waitlisted.exclude(course__prerequisites=[]).order_by("course")
        _add(with_prerequisites.values_list("student", "course"), context)


def load_dependent_waits(
    commands: Collection[EnrollmentCommand], context: DecisionContext, course_ids: Collection[int]
) -> None:
    """
    Add those of the loaded courses that depend on others and in which students wait who may leave a course.

    There is no query if none of them has a waitlist and depends on others.
    """
    leaving = leaving_students(commands)
    if not leaving:
        return
    own = {command.course_id for command in commands}
    with_waitlists = {pk for pk in course_ids if context.waitlist_lengths[pk]}
    if len(own) == 1:  # nobody waits for the course that the student leaves
        with_waitlists -= own
    course_ids = {pk for pk in with_waitlists if context.depends_on_other_courses(pk)}
    if course_ids:
        waits = dependent_waits(leaving).filter(course__in=course_ids).order_by("course")
        _add(waits.values_list("student", "course"), context)


def _add(waits: Iterable[tuple[int, int]], context: DecisionContext) -> None:
    for student_id, course_id in waits:
        courses = context.other_waitlists.setdefault(student_id, [])
        if course_id not in courses:
            courses.append(course_id)
