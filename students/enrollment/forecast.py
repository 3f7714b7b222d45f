"""What acts lead to: an outcome for each, and what follows by itself."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from students.acts import Outcome
from students.enrollment.ledger import Ledger
from students.models import EnrollmentEvent, StudentCourse
from students.register import BY_ITSELF


class Step(NamedTuple):
    """An act's outcome, and the line that it is to the journal: None where nothing changes."""

    outcome: Outcome
    event: EnrollmentEvent | None


class Consequence(NamedTuple):
    """A line of the journal about what follows by itself, and its enrollment: a line that is written forgets it."""

    event: EnrollmentEvent
    enrollment: StudentCourse


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    What becomes of acts: their steps in order, and ``followed``, who is promoted or passed over because of them.

    ``done`` says whether it is written, or only what would be. The events of one that is not have no ids.
    """

    steps: tuple[Step, ...]
    followed: tuple[Consequence, ...]
    done: bool = False

    @property
    def fingerprint(self) -> str:
        """
        A text that two forecasts share where the same becomes of the same enrollments.

        Instants are left out of it: they pass between asking and doing.
        """
        told = [*map(_told, self.steps), *(_of_event(*each) for each in self.followed)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def forecast_of(ledger: Ledger) -> Forecast:
    """Return what was decided, as not done yet."""
    own = (event for event in ledger.events if event.action not in BY_ITSELF)
    followed = tuple(Consequence(event, event.enrollment) for event in ledger.events if event.action in BY_ITSELF)
    return Forecast(tuple(_steps(ledger.outcomes, own)), followed)


def _steps(outcomes: Iterable[Outcome], own: Iterator[EnrollmentEvent]) -> Iterator[Step]:
    """Lay each act that changes something beside its line: both come in the order in which they were decided."""
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
