"""Reasons why an operation is rejected: a code for programs and a message for people, independent of HTTP."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from school.i18n.stored_messages import join_messages, parts_to_json, truncate_message
from school.i18n.stored_messages import translatable as _
from school.identifiers import identifier_fault, parse_ids

MAX_MESSAGE = 500  # the maximum number of characters of a quoted value


def shorten(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text with at most ``limit`` characters: the middle of a longer one is replaced by an ellipsis."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


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

    def with_field(self, field: str) -> "Refusal":
        """Return a copy of the refusal with this field."""
        return dataclasses.replace(self, field=field)

    def without_field(self) -> "Refusal":
        """Return a copy of the refusal for a request that has no fields."""
        return dataclasses.replace(self, field=None)

    def as_error(self) -> dict[str, Any]:
        """Return the refusal as an API response lists it."""
        return {"code": self.code, "field": self.field, "message": truncate_message(self.message)}

    def as_stored(self) -> dict[str, Any]:
        """Return the refusal for storage as JSON, without its title. ``parts`` allow translating the message later."""
        parts = parts_to_json(self.message)
        return {**self.as_error(), "parts": parts} if parts else self.as_error()


class Refused(Exception):
    """The operation was rejected and changed nothing. ``refusals`` has every reason, the most important first."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(" ".join(refusal.message for refusal in self.refusals))


def validation_error(refusals: Iterable[Refusal]) -> ValidationError:
    """Return the error with these refusals, each in its field."""
    errors: dict[str, list[ValidationError]] = {}
    for each in refusals:
        errors.setdefault(str(each.field), []).append(ValidationError(each.message, code=each.code))
    return ValidationError(errors)


def suggest_key(identifier: str, prefix: str) -> str:
    """Return a sentence that suggests the key with ``prefix``; "" if the text has the prefix or is an id."""
    if identifier.startswith(prefix) or parse_ids(identifier):
        return ""
    word, _colon, rest = identifier.partition(":")
    key = rest if word.lower() in ("number", "code") else identifier
    return " " + _("Did you mean %(key)s?") % {"key": f"{prefix}{key}"} if key else ""


def explain_identifier(refusal: Refusal, identifier: str, suggested: str | None = None) -> Refusal:
    """
    Return the refusal of an unknown identifier, with the suggestion ``suggested`` added.

    If the identifier has a fault, such as a character that is invisible or looks like another one, the refusal names
    that fault instead: the identifier itself would read like one that exists.
    """
    if fault := identifier_fault(identifier):
        refusal = Refusal("invalid_identifier", fault, _("Invalid identifier"), refusal.field)
    if suggested:
        message = _("Did you mean %(key)s?") % {"key": suggested}
        refusal = dataclasses.replace(refusal, message=join_messages([refusal.message, message]))
    return refusal


def version_conflict() -> Refusal:
    """Return the refusal of a change to an object that was changed after the client or user read it."""
    message = _("The object has changed since you read it. Read it again.")
    return Refusal("precondition_failed", message, _("Changed since you read it"))
