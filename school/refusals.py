"""How School says no: a code for programs, a sentence for people, and no HTTP in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _


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


def changed_meanwhile() -> Refusal:
    """The refusal of a change to something that is not as its author has read it."""
    message = _("This is not what you have read: somebody changed it meanwhile. Read it again.")
    return Refusal("precondition_failed", message, _("Changed meanwhile"))
