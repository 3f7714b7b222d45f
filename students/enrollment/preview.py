"""The forecast of acts: an outcome for each act, and the promotions that follow from them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from students.enrollment.batch import EnrollmentBatch
from students.enrollment.commands import Outcome
from students.enrollment.context import SYSTEM_ACTIONS
from students.models import EnrollmentEvent, StudentCourse


class PlannedAction(NamedTuple):
    """The outcome of an act, and its journal entry; the entry is None if nothing changes."""

    outcome: Outcome
    event: EnrollmentEvent | None


class SideEffect(NamedTuple):
    """A system-generated journal entry, with its enrollment: writing may clear the reference in the entry."""

    event: EnrollmentEvent
    enrollment: StudentCourse


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The result of acts: ``steps`` in the order of the acts, and ``followed`` with the promotions and passes they cause.

    ``done`` is True if the result was written, False if it is a preview. The events of a preview have no ids.
    """

    steps: tuple[PlannedAction, ...]
    followed: tuple[SideEffect, ...]
    done: bool = False

    @property
    def fingerprint(self) -> str:
        """
        A hash that is equal for two forecasts with the same results for the same enrollments.

        It contains no times, since time passes between the preview and the confirmation.
        """
        told = [*map(_action_digest, self.steps), *(_event_digest(*each) for each in self.followed)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def build_preview(ledger: EnrollmentBatch) -> Preview:
    """Return the decisions of a ledger as a forecast that is not done."""
    own = (event for event in ledger.events if event.action not in SYSTEM_ACTIONS)
    followed = tuple(SideEffect(event, event.enrollment) for event in ledger.events if event.action in SYSTEM_ACTIONS)
    return Preview(tuple(_planned_actions(ledger.outcomes, own)), followed)


def _planned_actions(outcomes: Iterable[Outcome], own: Iterator[EnrollmentEvent]) -> Iterator[PlannedAction]:
    """Yield a step for each outcome. Outcomes that changed something and entries come in the same order."""
    for outcome in outcomes:
        yield PlannedAction(outcome, next(own) if outcome.changed else None)


def _action_digest(step: PlannedAction) -> list[Any]:
    outcome, event = step
    refusals = [[refusal.code, refusal.message] for refusal in outcome.refusals]
    enrollment = outcome.enrollment
    if event is not None and enrollment is not None:
        return [_event_digest(event, enrollment), enrollment.__dict__.get("position")]
    return [outcome.act.pair, enrollment and enrollment.pk, enrollment and enrollment.status, refusals]


def _event_digest(event: EnrollmentEvent, row: StudentCourse) -> list[Any]:
    changes = {name: values for name, values in event.changes.items() if name != "waitlisted_at"}
    return [row.pk if event.from_status else None, row.pair, event.action, event.from_status, event.to_status, changes]
