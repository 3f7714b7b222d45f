"""The forecast of acts: an outcome for each act, and the promotions that follow from them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from students.enrollment.batch import Ledger
from students.enrollment.commands import Outcome
from students.enrollment.context import BY_ITSELF
from students.models import EnrollmentEvent, StudentCourse


class Step(NamedTuple):
    """The outcome of an act, and its journal entry; the entry is None if nothing changes."""

    outcome: Outcome
    event: EnrollmentEvent | None


class Consequence(NamedTuple):
    """A system-generated journal entry, with its enrollment: writing may clear the reference in the entry."""

    event: EnrollmentEvent
    enrollment: StudentCourse


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    The result of acts: ``steps`` in the order of the acts, and ``followed`` with the promotions and passes they cause.

    ``done`` is True if the result was written, False if it is a preview. The events of a preview have no ids.
    """

    steps: tuple[Step, ...]
    followed: tuple[Consequence, ...]
    done: bool = False

    @property
    def fingerprint(self) -> str:
        """
        A hash that is equal for two forecasts with the same results for the same enrollments.

        It contains no times, since time passes between the preview and the confirmation.
        """
        told = [*map(_told, self.steps), *(_of_event(*each) for each in self.followed)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def forecast_of(ledger: Ledger) -> Forecast:
    """Return the decisions of a ledger as a forecast that is not done."""
    own = (event for event in ledger.events if event.action not in BY_ITSELF)
    followed = tuple(Consequence(event, event.enrollment) for event in ledger.events if event.action in BY_ITSELF)
    return Forecast(tuple(_steps(ledger.outcomes, own)), followed)


def _steps(outcomes: Iterable[Outcome], own: Iterator[EnrollmentEvent]) -> Iterator[Step]:
    """Yield a step for each outcome. Outcomes that changed something and entries come in the same order."""
    for outcome in outcomes:
        yield Step(outcome, next(own) if outcome.changed else None)


def _told(step: Step) -> list[Any]:
    outcome, event = step
    refusals = [[refusal.code, refusal.message] for refusal in outcome.refusals]
    enrollment = outcome.enrollment
    if event is not None and enrollment is not None:
        return [_of_event(event, enrollment), enrollment.__dict__.get("position")]
    return [outcome.act.pair, enrollment and enrollment.pk, enrollment and enrollment.status, refusals]


def _of_event(event: EnrollmentEvent, row: StudentCourse) -> list[Any]:
    changes = {name: values for name, values in event.changes.items() if name != "waitlisted_at"}
    return [row.pk if event.from_status else None, row.pair, event.action, event.from_status, event.to_status, changes]
