"""Loads the journal entries that commands undo, and those of swaps that commands repeat."""

from collections.abc import Iterable
from typing import Any

from django.db.models import F, QuerySet

from bulk.models import Import, State
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import SYSTEM_ACTIONS, DecisionContext, EnrollmentKey
from students.models import LEFT_STATUSES, Action, EnrollmentEvent, Status

# Reading a member of an enumeration takes 0.3 µs in Python 3.11, and these are read for each command.
UNDO = Action.UNDO


def effective_events() -> QuerySet[EnrollmentEvent]:
    """Return the journal entries without system-generated ones (``SYSTEM_ACTIONS``) and without undone adoptions."""
    undone = Import.objects.filter(state__in=(State.UNDONE, State.PARTLY_UNDONE)).values("pk")
    events = EnrollmentEvent.objects.exclude(action__in=SYSTEM_ACTIONS)
    events = events.exclude(action=Action.ADOPT, file_import__in=undone)
    return events.exclude(action=UNDO, from_status=F("to_status"), changes={})  # the undo of an adoption


def load_last_events(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> None:
    """Read the last journal entry of the enrollments that commands undo, and find the swaps that were done before."""
    context.last_events, context.swapped = {}, _swapped(commands, context)
    import_ids = {command.key: command.only_if_changed_by_import for command in commands if command.action == UNDO}
    if not import_ids:
        return
    enrollments = [context.latest_enrollments[key] for key in import_ids if key in context.latest_enrollments]
    events = effective_events().filter(enrollment__in=enrollments).order_by("pk").select_related("enrollment")
    # Only the undo of an import considers adoptions: any other undo applies to the entry before them.
    considered = (event for event in events if event.action != Action.ADOPT or import_ids[event.enrollment.key])
    context.last_events = {event.enrollment.key: event for event in considered}


def _swapped(commands: Iterable[EnrollmentCommand], context: DecisionContext) -> set[tuple[int, int, int]]:
    """
    Return the students, the courses left and the courses taken of the swaps that commands ask for and that were done.

    By a swap, the one enrollment ended and the other one got its seat at the same time by the same request. There is no
    query if no student has a seat in the one course and has left the other one.
    """
    ends: dict[int, EnrollmentKey] = {}
    seats: dict[int, EnrollmentKey] = {}
    for command in commands:
        if command.instead_of is not None:
            left = context.latest_enrollments.get((command.student_id, command.instead_of))
            taken = context.latest_enrollments.get(command.key)
            if left and taken and left.status in LEFT_STATUSES and taken.status == Status.ENROLLED:
                ends[left.pk], seats[taken.pk] = left.key, taken.key
    if not ends:
        return set()
    events = EnrollmentEvent.objects.filter(enrollment__pk__any_of=[*ends, *seats])
    events = events.filter(action__in=(Action.ENROLL, Action.DROP, Action.PROMOTE)).order_by("pk")
    last_ends: dict[EnrollmentKey, tuple[Any, ...]] = {}
    seated: set[tuple[EnrollmentKey, tuple[Any, ...]]] = set()
    for pk, action, *occasion in events.values_list("enrollment_id", "action", "at", "request_id"):
        if action == Action.DROP and pk in ends:
            last_ends[ends[pk]] = tuple(occasion)
        elif action != Action.DROP and pk in seats:
            seated.add((seats[pk], tuple(occasion)))
    return {
        (student, left, course)
        for (student, left), occasion in last_ends.items()
        for (taker, course), seated_at in seated
        if taker == student and seated_at == occasion
    }
