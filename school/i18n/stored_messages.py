"""Dates, numbers and stored messages: in a fixed form for programs, and in the current language for people."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext, override

# Parameters whose values are translated, such as the label of a status; the code of a course is not.
WORDS = frozenset({"status", "action", "possible", "state", "wanted"})
INSTANT = "instant"  # a parameter that ``told_instant`` has formatted
MAX_PARAMETER = 500  # characters; a longer one is cut
MAX_KEPT = 2_000  # characters of a message that is stored; a longer one is cut

# A literal text, or a msgid of the message catalog with its parameters.
Part = str | tuple[str, Mapping[str, Any]]


class Sentence(str):
    """
    A message in the current language that can be translated again later, because it keeps its msgids and parameters.

    ``%`` and ``+`` also return a ``Sentence``. A parameter longer than ``MAX_PARAMETER`` is cut.
    """

    __slots__ = ("parts",)
    parts: tuple[Part, ...]

    def __new__(cls, text: str, parts: Iterable[Part] = ()) -> "Sentence":
        self = super().__new__(cls, text)
        self.parts = tuple(parts)
        return self

    def __mod__(self, values: Any) -> Any:
        if not isinstance(values, Mapping):  # a library formats every message, with () if there are no parameters
            return self if values == () else str.__mod__(self, values)
        bounded = {name: _bounded(value) for name, value in values.items()}
        [part] = self.parts
        return Sentence(str.__mod__(self, bounded), [(part if isinstance(part, str) else part[0], bounded)])

    def __add__(self, other: str) -> "Sentence":
        return Sentence(str.__add__(self, other), [*self.parts, *parts_of(other)])

    def __radd__(self, other: str) -> "Sentence":
        return Sentence(str.__add__(other, self), [*parts_of(other), *self.parts])


def sentence(msgid: str) -> Sentence:
    """Return the translation of a msgid as a ``Sentence``. Use it for all messages that may be stored."""
    return Sentence(gettext(msgid), [(msgid, {})])


def parts_of(message: str) -> tuple[Part, ...]:
    return message.parts if isinstance(message, Sentence) else (message,) if message else ()


def joined(messages: Iterable[str], between: str = " ") -> str:
    """Return the messages joined into one, which can be translated again."""
    found = list(messages)
    parts = [part for message in found for part in (between, *parts_of(message))][1:]
    return Sentence(between.join(found), parts) if len(found) != 1 else found[0]


def sentence_of(error: ValidationError) -> str:
    """Return the message of a ``ValidationError`` with a single message, translatable again if possible."""
    text = " ".join(error.messages)
    if isinstance(error.message, Sentence):
        return error.message % error.params if error.params else error.message
    if not isinstance(error.message, Promise):
        return text
    with override(None):  # without a language, a msgid is its own translation
        msgid = str(error.message)
    # A plural form has no msgid until its number is known, and stays in its language.
    values = {name: _bounded(value) for name, value in (error.params or {}).items()}
    return Sentence(text, [(msgid, values)]) if msgid else text


def packed(message: str) -> list[Any] | None:
    """Return the parts of a message as JSON, None if it cannot be translated again."""
    if not isinstance(message, Sentence) or len(message) > MAX_KEPT:
        return None
    return [part if isinstance(part, str) else [part[0], _as_json(part[1])] for part in message.parts]


def kept_text(message: str) -> str:
    """Return a message for storage, cut to ``MAX_KEPT`` characters."""
    return message if len(message) <= MAX_KEPT else f"{message[: MAX_KEPT - 1]}…"


def unpacked(message: str, parts: list[Any] | None) -> str:
    """Return a stored message with its parts; without parts it stays in the language in which it was stored."""
    return Sentence(message, map(_unpacked, parts)) if parts else message


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"message": value, "parts": packed(value)} if isinstance(value, Sentence) else value
        for name, value in values.items()
    }


def _unpacked(part: Any) -> Part:
    if isinstance(part, str):
        return part
    msgid, values = part
    return msgid, {name: unpacked(**value) if isinstance(value, dict) else value for name, value in values.items()}


def _bounded(value: Any) -> Any:
    if isinstance(value, int) or (isinstance(value, Sentence) and len(value) <= MAX_KEPT):
        return value
    text = str(value)
    return text if len(text) <= MAX_PARAMETER else f"{text[: MAX_PARAMETER - 1]}…"


def in_english() -> AbstractContextManager[None]:
    """Return a context manager that activates English, for stored texts. No effect if English is active already."""
    return nullcontext() if get_language() == "en" else override("en")


def told_instant(at: datetime | None) -> str:
    """Format a datetime in ``TIME_ZONE``, to the minute: in English, which programs read, as ISO 8601. "" for None."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if (get_language() or "en") == "en":
        return local.isoformat(" ", "minutes")
    return f"{formats.date_format(local, 'SHORT_DATETIME_FORMAT')} {local.tzname()}"


def figure(number: int) -> str:
    """Format a count in the current language, with thousands separators. Not for ids."""
    return formats.number_format(number, force_grouping=True)


def spoken(message: str) -> str:
    """
    Translate a message that was stored in English into the current language.

    The result of an import row, for example, is stored once, and read by programs too. A text without parts is returned
    unchanged.
    """
    if not isinstance(message, Sentence) or (get_language() or "en") == "en":
        return message
    return "".join(part if isinstance(part, str) else _translated(*part) for part in message.parts)


def _translated(msgid: str, values: Mapping[str, Any]) -> str:
    text = gettext(msgid)
    return text % {name: _value(name, value) for name, value in values.items()} if values else text


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Sentence):
        return spoken(value)
    if name in WORDS and isinstance(value, str):
        return ", ".join(gettext(word) for word in value.split(", ") if word)
    if name == INSTANT:
        return told_instant(datetime.fromisoformat(value))
    return value
