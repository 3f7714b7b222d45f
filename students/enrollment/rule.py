"""The class of the enrollment rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

from school.refusals import Refusal
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext

RuleCheck = Callable[[EnrollmentCommand, DecisionContext], str | Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A check with the code and the title of its refusal.

    ``explanation`` is the docstring of the function, which is shown to users. A ``waivable`` rule is evaluated like any
    other rule, but an actor with the permission to waive rules can override it for a command. ``field`` is the invalid
    input, if there is one.
    """

    code: str
    title: str | Promise
    check: RuleCheck
    waivable: bool = False
    field: str | None = None

    def __call__(self, command: EnrollmentCommand, context: DecisionContext) -> Sequence[Refusal]:
        found = self.check(command, context)
        return self.refusals(found) if found else ()

    def refusals(self, found: str | Sequence[str]) -> list[Refusal]:
        """Return a refusal for each message that the check has found."""
        return [self.refusal(message) for message in ([found] if isinstance(found, str) else found)]

    def refusal(self, message: str) -> Refusal:
        return Refusal(self.code, message, str(self.title), self.field)

    @property
    def name(self) -> str:
        return self.check.__name__

    @property
    def explanation(self) -> str:
        return self.check.__doc__ or ""


def rule(
    code: str, title: str | Promise, *, waivable: bool = False, field: str | None = None
) -> Callable[[RuleCheck], Rule]:
    """Decorate a function that returns the message of a refusal, several or none, to make it a ``Rule``."""
    return lambda check: Rule(code, title, check, waivable, field)
