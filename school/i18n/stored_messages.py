"""Messages that are stored in English and translated when they are shown, and the formats of dates and numbers."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext, override

# The names of parameters whose values are translated too, such as the label of a status.
TRANSLATED_PARAMETERS = frozenset({"status", "action", "possible", "state", "wanted"})
INSTANT_PARAMETER = "instant"  # the name of a parameter that ``format_instant`` has formatted
MAX_PARAMETER = 500  # the maximum number of characters of a parameter; a longer one is cut
MAX_STORED = 2_000  # the maximum number of characters of a stored message; a longer one is cut

# A literal text, or a msgid of the message catalog with its parameters.
Part = str | tuple[str, Mapping[str, Any]]


class TranslatableText(str):
    """
    A message in the current language that can be translated again later, because it keeps its msgids and parameters.

    ``%`` and ``+`` also return a ``TranslatableText``. A parameter longer than ``MAX_PARAMETER`` is cut.
    """

    __slots__ = ("parts",)
    parts: tuple[Part, ...]

    def __new__(cls, text: str, parts: Iterable[Part] = ()) -> "TranslatableText":
        self = super().__new__(cls, text)
        self.parts = tuple(parts)
        return self

    def __mod__(self, values: Any) -> Any:
        if not isinstance(values, Mapping):  # a library formats every message, with () if there are no parameters
            return self if values == () else str.__mod__(self, values)
        bounded = {name: _truncate_value(value) for name, value in values.items()}
        [part] = self.parts
        return TranslatableText(str.__mod__(self, bounded), [(part if isinstance(part, str) else part[0], bounded)])

    def __add__(self, other: str) -> "TranslatableText":
        return TranslatableText(str.__add__(self, other), [*self.parts, *parts_of(other)])

    def __radd__(self, other: str) -> "TranslatableText":
        return TranslatableText(str.__add__(other, self), [*parts_of(other), *self.parts])


def translatable(msgid: str) -> TranslatableText:
    """Return the translation of a msgid as a ``TranslatableText``. Use it for all messages that may be stored."""
    return TranslatableText(gettext(msgid), [(msgid, {})])


def parts_of(message: str) -> tuple[Part, ...]:
    return message.parts if isinstance(message, TranslatableText) else (message,) if message else ()


def join_messages(messages: Iterable[str], separator: str = " ") -> str:
    """Return the messages joined into one, which can be translated again."""
    texts = list(messages)
    parts = [part for message in texts for part in (separator, *parts_of(message))][1:]
    return TranslatableText(separator.join(texts), parts) if len(texts) != 1 else texts[0]


def message_of(error: ValidationError) -> str:
    """Return the message of a ``ValidationError`` with a single message, translatable again if possible."""
    text = " ".join(error.messages)
    if isinstance(error.message, TranslatableText):
        return error.message % error.params if error.params else error.message
    if not isinstance(error.message, Promise):
        return text
    with override(None):  # without an active language, the text is its msgid
        msgid = str(error.message)
    # A plural has no msgid until its number is known, so it cannot be translated again.
    values = {name: _truncate_value(value) for name, value in (error.params or {}).items()}
    return TranslatableText(text, [(msgid, values)]) if msgid else text


def parts_to_json(message: str) -> list[Any] | None:
    """Return the parts of a message as JSON, None if it cannot be translated again."""
    if not isinstance(message, TranslatableText) or len(message) > MAX_STORED:
        return None
    return [part if isinstance(part, str) else [part[0], _values_to_json(part[1])] for part in message.parts]


def truncate_message(message: str) -> str:
    """Return a message for storage, cut to ``MAX_STORED`` characters."""
    return message if len(message) <= MAX_STORED else f"{message[: MAX_STORED - 1]}…"


def from_stored(message: str, parts: list[Any] | None) -> str:
    """Return a stored message with its parts; without parts it stays in the language in which it was stored."""
    return TranslatableText(message, map(_part_from_json, parts)) if parts else message


def _values_to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"message": value, "parts": parts_to_json(value)} if isinstance(value, TranslatableText) else value
        for name, value in values.items()
    }


def _part_from_json(part: Any) -> Part:
    if isinstance(part, str):
        return part
    msgid, values = part
    return msgid, {name: from_stored(**value) if isinstance(value, dict) else value for name, value in values.items()}


def _truncate_value(value: Any) -> Any:
    if isinstance(value, int) or (isinstance(value, TranslatableText) and len(value) <= MAX_STORED):
        return value
    text = str(value)
    return text if len(text) <= MAX_PARAMETER else f"{text[: MAX_PARAMETER - 1]}…"


def in_english() -> AbstractContextManager[None]:
    """Return a context manager that activates English, for stored texts. No effect if English is active already."""
    return nullcontext() if get_language() == "en" else override("en")


def format_instant(at: datetime | None) -> str:
    """Format a datetime in ``TIME_ZONE``, to the minute: in English, which programs read, as ISO 8601. "" for None."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if (get_language() or "en") == "en":
        return local.isoformat(" ", "minutes")
    return f"{formats.date_format(local, 'SHORT_DATETIME_FORMAT')} {local.tzname()}"


def format_count(number: int) -> str:
    """Format a count in the current language, with thousands separators. Not for ids."""
    return formats.number_format(number, force_grouping=True)


def translate_stored(message: str) -> str:
    """
    Translate a message that was stored in English into the current language.

    The result of an import row, for example, is stored once, and read by programs too. A text without parts is returned
    unchanged.
    """
    if not isinstance(message, TranslatableText) or (get_language() or "en") == "en":
        return message
    return "".join(part if isinstance(part, str) else _translate_part(*part) for part in message.parts)


def _translate_part(msgid: str, values: Mapping[str, Any]) -> str:
    text = gettext(msgid)
    return text % {name: _translate_value(name, value) for name, value in values.items()} if values else text


def _translate_value(name: str, value: Any) -> Any:
    if isinstance(value, TranslatableText):
        return translate_stored(value)
    if name in TRANSLATED_PARAMETERS and isinstance(value, str):
        return ", ".join(gettext(word) for word in value.split(", ") if word)
    if name == INSTANT_PARAMETER:
        return format_instant(datetime.fromisoformat(value))
    return value
