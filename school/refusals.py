"""Reasons why an operation is rejected: a code for programs and a message for people, independent of HTTP."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from school.i18n.stored_messages import joined, kept_text, packed
from school.i18n.stored_messages import sentence as _
from school.validators import fault_in_identifier, parse_ids

MAX_MESSAGE = 500  # characters


def shortened(text: str, most: int = MAX_MESSAGE) -> str:
    """Return the text with at most ``most`` characters: the middle of a longer one is replaced by an ellipsis."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """
    One reason why an operation is rejected.

    ``code`` is stable and part of the API's contract. ``title`` names the kind of refusal, ``message`` describes this
    one. ``field`` is the invalid input, if there is one. ``members`` become extension members of the API's problem
    document if this is its first reason: data that a program needs to continue, such as the id of another object.
    """

    code: str
    message: str
    title: str = ""
    field: str | None = None
    members: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def at(self, field: str) -> "Refusal":
        """Return a copy of the refusal with this field."""
        return dataclasses.replace(self, field=field)

    def as_problem(self) -> dict[str, Any]:
        """Return the refusal as an API response lists it."""
        return {"code": self.code, "field": self.field, "message": kept_text(self.message)}

    def as_stored(self) -> dict[str, Any]:
        """Return the refusal for storage as JSON, without its title. ``parts`` allow translating the message later."""
        parts = packed(self.message)
        return {**self.as_problem(), "parts": parts} if parts else self.as_problem()


class Refused(Exception):
    """The operation was rejected and changed nothing. ``refusals`` has every reason, the most important first."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(" ".join(refusal.message for refusal in self.refusals))


def suggestion(identifier: str, prefix: str) -> str:
    """Return a sentence that suggests the key with ``prefix``; "" if the text has the prefix or is an id."""
    if identifier.startswith(prefix) or parse_ids(identifier):
        return ""
    word, _colon, rest = identifier.partition(":")
    key = rest if word.lower() in ("number", "code") else identifier
    return " " + _("Did you mean %(key)s?") % {"key": f"{prefix}{key}"} if key else ""


def explained(refusal: Refusal, identifier: str, meant: str | None = None) -> Refusal:
    """
    Return the refusal of an unknown identifier, with the suggestion ``meant`` added.

    If the identifier has a fault, such as a character that is invisible or looks like another one, the refusal names
    that fault instead: the identifier itself would read like one that exists.
    """
    if fault := fault_in_identifier(identifier):
        refusal = Refusal("invalid_identifier", fault, _("Invalid identifier"), refusal.field)
    if meant:
        message = _("Did you mean %(key)s?") % {"key": meant}
        refusal = dataclasses.replace(refusal, message=joined([refusal.message, message]))
    return refusal


def changed_meanwhile() -> Refusal:
    """Return the refusal of a change to an object that was changed after the client or user read it."""
    message = _("The object has changed since you read it. Read it again.")
    return Refusal("precondition_failed", message, _("Changed since you read it"))
