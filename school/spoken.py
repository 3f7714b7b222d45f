"""Instants, figures and kept sentences: for programs the same everywhere, for people as their language has them."""

import re
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import get_language, gettext, override
from django.utils.translation.trans_real import translation

# Parts of sentences that are words of ours: the label of a status, not the code of a course.
WORDS = frozenset({"status", "action", "possible", "state", "wanted"})
END = re.compile(r"(?<=[.?]) (?=[A-Z])")
PART = re.compile(r"%\((\w+)\)[sd]")


def in_english() -> AbstractContextManager[None]:
    """Speak English within: what is kept is for programs too. It costs nothing where English is spoken anyway."""
    return nullcontext() if get_language() == "en" else override("en")


def told_instant(at: datetime | None) -> str:
    """Return an instant in ``TIME_ZONE``, to the minute; in English, which programs read, as ISO 8601 has it."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if (get_language() or "en") == "en":
        return local.isoformat(" ", "minutes")
    return f"{formats.date_format(local, 'SHORT_DATETIME_FORMAT')} {local.tzname()}"


def figure(number: int) -> str:
    """Return how many there are of something, its thousands parted. Not for ids."""
    return formats.number_format(number, force_grouping=True)


def spoken(sentence: str) -> str:
    """
    Return a sentence that was kept in English in the language of who reads it now.

    What an import has to say of a row, for example, is written once, and read by programs too. One that was not ours
    comes back as it is.
    """
    if not sentence or (get_language() or "en") == "en":
        return sentence
    each = [_said(part) for part in END.split(sentence)]
    if None not in each:
        return " ".join(filter(None, each))
    return _said(sentence) or sentence


def _said(sentence: str) -> str | None:
    for pattern, msgid in _sentences(get_language() or "en"):
        if found := pattern.fullmatch(sentence):
            parts = {name: _part(name, text) for name, text in found.groupdict().items()}
            return gettext(msgid) % parts if parts else gettext(msgid)
    return None


def _part(name: str, text: str) -> str:
    if name in WORDS:
        return ", ".join(gettext(word) for word in text.split(", "))
    if name == "instant":
        return told_instant(datetime.fromisoformat(text))
    return text


@lru_cache(maxsize=8)
def _sentences(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the sentences of the catalogue, those with most of their own words first."""
    catalog: Any = translation(language)
    said = {text if isinstance(text, str) else text[0] for text, _words in catalog._catalog.items()}
    sentences = sorted((text for text in said if text.endswith((".", "?"))), key=_own, reverse=True)
    return [(_pattern(text), text) for text in sentences if "%" not in PART.sub("", text) and "\x04" not in text]


def _own(msgid: str) -> int:
    return len(PART.sub("", msgid))


def _pattern(msgid: str) -> re.Pattern[str]:
    pieces, names = PART.split(msgid)[::2], PART.split(msgid)[1::2]
    wanted = [f"(?P<{name}>.+?)" if names.index(name) == place else f"(?P={name})" for place, name in enumerate(names)]
    parts = [re.escape(pieces[0])]
    for name, piece in zip(wanted, pieces[1:], strict=True):
        parts += [name, re.escape(piece)]
    return re.compile("".join(parts), re.DOTALL)
