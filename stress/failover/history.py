"""The acts of a client and their outcomes, in the order in which the client has sent them."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Pair = tuple[int, int]  # student id, course id


class Outcome(StrEnum):
    DONE = "done"  # the answer says that this request has made the change
    REPEATED = "repeated"  # the answer says that the change was made before, or may have been
    REFUSED = "refused"  # the answer says that a rule refuses, or that the request was not applied
    UNKNOWN = "unknown"  # there was no answer, or it says that the outcome is unknown


@dataclass(frozen=True, slots=True)
class Act:
    action: str  # "enroll" or "drop"
    outcome: Outcome
    request_id: str = ""
    enrollment_id: int | None = None


@dataclass
class History:
    """All acts of a client by pair, and the instants at which acts were acknowledged."""

    acts: dict[Pair, list[Act]] = field(default_factory=dict)
    acknowledged_at: list[float] = field(default_factory=list)
    not_applied: list[str] = field(default_factory=list)  # request ids of 503 that say that nothing was done
    unexpected: dict[str, Any] = field(default_factory=dict)  # the first content of each unexpected answer
    statuses: dict[int, int] = field(default_factory=dict)

    def record(self, pair: Pair, act: Act) -> None:
        self.acts.setdefault(pair, []).append(act)
        if act.outcome in (Outcome.DONE, Outcome.REPEATED):
            self.acknowledged_at.append(time.monotonic())

    @property
    def done(self) -> int:
        """The number of acts that the server has acknowledged as made by the request."""
        return sum(act.outcome == Outcome.DONE for acts in self.acts.values() for act in acts)
