"""The order in which waiting students get free seats: first come, first served, if the rules still allow it."""

from collections.abc import Iterator

from students.enrollment.commands import EnrollmentCommand
from students.enrollment.context import DecisionContext
from students.enrollment.rules import Decision, evaluate
from students.models import Action, StudentCourse


def iter_waitlist(course_id: int, register: DecisionContext) -> Iterator[tuple[StudentCourse, Decision]]:
    """
    Yield the waiting enrollments of a course, in order, with the verdict of the rules, as long as a seat is free.

    The caller enrolls each student without refusals and passes over the others. A waiver with which a student joined
    the waitlist stays valid until the student has a seat.
    """
    for waiter in list(register.lines.get(course_id, ())):
        if not register.has_seat(course_id):
            return
        pair = waiter.student_id, course_id
        act = EnrollmentCommand(Action.PROMOTE, *pair, waive=register.waived_for.get(pair, frozenset()))
        yield waiter, evaluate(act, register)
