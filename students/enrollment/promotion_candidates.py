"""The waitlisted students that a free seat may go to, in their order, with the decisions of the rules."""

from collections.abc import Iterator

from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext
from students.enrollment.rules import Decision, evaluate
from students.models import Action, StudentCourse


def iter_promotion_candidates(course_id: int, context: DecisionContext) -> Iterator[tuple[StudentCourse, Decision]]:
    """
    Yield the waitlisted enrollments of a course in order, each with the decision of the rules, as long as a seat is
    free.

    The caller gives a seat to each student whom the rules accept, and passes over the others. A waiver with which a
    student joined the waitlist stays valid until the student has a seat.
    """
    for waiter in list(context.waitlists.get(course_id, ())):
        if not context.has_seat(course_id):
            return
        key = waiter.student_id, course_id
        command = EnrollmentCommand(Action.PROMOTE, *key, waived_codes=context.waitlist_waivers.get(key, frozenset()))
        with context.without(waiter.student_id, waiter.instead_of_id):
            decision = evaluate(command, context)
        yield waiter, decision
