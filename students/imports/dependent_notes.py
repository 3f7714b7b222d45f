"""Notes on the rows of an enrollment file whose changes other enrollments of the students depend on."""

from collections.abc import Iterable

from school.i18n.stored_messages import translatable as _
from students.enrollment.decision_context import DecisionContext, EnrollmentKey
from students.enrollment.lost_prerequisites import lost_corequisites, lost_prerequisites
from students.enrollment.outcomes import Outcome
from students.models import Action


def dependent_notes(outcomes: Iterable[Outcome], context: DecisionContext) -> dict[EnrollmentKey, str]:
    """
    Return a note for each row whose grade no longer meets the prerequisites of open enrollments, and for each row by
    which a student leaves a course that others of the student require.
    """
    rows: dict[EnrollmentKey, EnrollmentKey] = {}  # the changed enrollments, with those of their rows
    for outcome in outcomes:
        command = outcome.command
        if outcome.changed and (command.grade or command.action == Action.DROP):
            rows[command.key] = command.key
        elif outcome.changed and command.instead_of is not None:
            rows[command.student_id, command.instead_of] = command.key
    changes = [
        (context.last_events[key], context.latest_enrollments[key]) for key in rows if key in context.last_events
    ]
    lost = lost_corequisites(changes, context.courses, context.grades)
    message = _("Other enrollments that require the course: %(n)s.")
    notes = {rows[key]: message % {"n": len(ids)} for key, ids in lost.items()}
    lost = lost_prerequisites(changes, context.grades)
    message = _("Open enrollments whose prerequisites are no longer met: %(n)s.")
    return notes | {rows[key]: message % {"n": len(ids)} for key, ids in lost.items() if ids}
