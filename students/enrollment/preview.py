"""A preview of commands: the outcome of each command, and the promotions that the commands would cause."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from students.enrollment.batch import EnrollmentBatch
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.enrollment.lost_prerequisites import lost_corequisites, lost_prerequisites
from students.enrollment.outcomes import Outcome
from students.models import EnrollmentEvent, StudentCourse
from students.seats import Seats


class PlannedAction(NamedTuple):
    """The outcome of a command, and its journal entry; the entry is None if nothing changes."""

    outcome: Outcome
    event: EnrollmentEvent | None


class SideEffect(NamedTuple):
    """
    A journal entry that is added because of a command, such as a promotion or the end of the enrollment that a swap
    replaces, with its enrollment.

    The enrollment is stored here, too, because writing the entry may clear its reference to the enrollment.
    """

    event: EnrollmentEvent
    enrollment: StudentCourse


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The result of commands: ``planned_actions`` in the order of the commands, and the promotions and pass-overs that
    they cause in ``side_effects``. ``seats`` has the seats of each course after the commands, by its id.
    ``losing_prerequisites`` has the ids of the open enrollments whose prerequisites or corequisites changed grades no
    longer meet, and ``losing_corequisites`` those of courses that require a course which the student leaves.

    ``committed`` is True if the result was written to the database, False for a mere preview. The journal entries of a
    mere preview have no ids.
    """

    planned_actions: tuple[PlannedAction, ...]
    side_effects: tuple[SideEffect, ...]
    seats: Mapping[int, Seats]
    losing_prerequisites: frozenset[int] = frozenset()
    losing_corequisites: frozenset[int] = frozenset()
    committed: bool = False

    @property
    def fingerprint(self) -> str:
        """
        A hash that is equal for two previews with the same results for the same enrollments.

        No times are part of the hash, because time passes between the preview and the confirmation.
        """
        digests = [*map(_action_digest, self.planned_actions), *(_event_digest(*each) for each in self.side_effects)]
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def build_preview(batch: EnrollmentBatch) -> Preview:
    """Return the decisions of a batch as a preview that is not committed."""
    swapped = {id(event) for event in batch.swapped}
    is_own = [event.action not in SYSTEM_ACTIONS and id(event) not in swapped for event in batch.events]
    own_events = (event for event, own in zip(batch.events, is_own, strict=True) if own)
    side_effects = tuple(
        SideEffect(event, event.enrollment) for event, own in zip(batch.events, is_own, strict=True) if not own
    )
    context = batch.context
    seats = {
        pk: Seats(course.capacity, context.seats_taken[pk], context.waitlist_lengths[pk])
        for pk, course in context.courses.items()
    }
    changes = [(event, event.enrollment) for event in batch.events]
    losing_prerequisites = lost_prerequisites(changes, context.grades)
    losing_corequisites = lost_corequisites(changes, context.courses, context.grades)
    return Preview(
        tuple(_planned_actions(batch.outcomes, own_events)),
        side_effects,
        seats,
        frozenset[int]().union(*losing_prerequisites.values()),
        frozenset[int]().union(*losing_corequisites.values()),
    )


def _planned_actions(outcomes: Iterable[Outcome], own_events: Iterator[EnrollmentEvent]) -> Iterator[PlannedAction]:
    """
    Yield a planned action for each outcome.

    The journal entries are in the order of the outcomes that changed something. There are none for commands of which
    all are executed or none, if one is refused.
    """
    for outcome in outcomes:
        yield PlannedAction(outcome, next(own_events, None) if outcome.changed else None)


def _action_digest(planned: PlannedAction) -> list[Any]:
    outcome, event = planned
    refusals = [[refusal.code, refusal.message] for refusal in outcome.refusals]
    enrollment = outcome.enrollment
    if event is not None and enrollment is not None:
        return [_event_digest(event, enrollment), enrollment.__dict__.get("annotated_waitlist_position")]
    return [outcome.command.key, enrollment and enrollment.pk, enrollment and enrollment.status, refusals]


def _event_digest(event: EnrollmentEvent, enrollment: StudentCourse) -> list[Any]:
    changes = {name: values for name, values in event.changes.items() if name != "waitlisted_at"}
    return [
        enrollment.pk if event.from_status else None,
        enrollment.key,
        event.action,
        event.from_status,
        event.to_status,
        changes,
    ]
