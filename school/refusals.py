"""How School says no: a code for programs, a sentence for people, and no HTTP in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One reason why something is not done.

    ``code`` is stable and part of the contract; ``title`` names the kind of refusal and ``message`` this one;
    ``field`` is the input at fault where one input is.
    """

    code: str
    message: str
    title: str = ""
    field: str | None = None

    def at(self, field: str) -> "Refusal":
        """The same refusal, laid at an input."""
        return replace(self, field=field)


class Refused(Exception):
    """Nothing was done; ``refusals`` holds every reason, the weightiest first."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(" ".join(refusal.message for refusal in self.refusals))
