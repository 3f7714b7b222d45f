"""Parses pasted lines: numbers, codes, email addresses and names, as copied from a list, a mail or a spreadsheet."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from school.refusals import shorten
from school.text_normalization import normalized

MAX_KEY = 200  # characters; a course code with term and section has at most 114
_SEPARATORS = re.compile(r"[\n\t,; ]")
_AROUND_WORDS = "<>()[]\"'"


class PastedLine(NamedTuple):
    """
    A line of the pasted text with the keys in it. ``number`` is the line number, from 1.

    With ``is_list`` the keys are of several rows; otherwise all of them are of the same row.
    """

    number: int
    keys: tuple[str, ...]
    is_list: bool = False


def parse_keys(
    text: str, find_existing: Callable[[Collection[str]], Collection[str]], *, are_names: bool = True
) -> list[PastedLine]:
    """
    Return the lines of a text that are not empty, each with its keys.

    Keys are separated by commas, semicolons or tabs. ``find_existing`` returns those of the given keys that exist; it
    is called at most twice. In a line with other text beside the keys, only keys that exist are used, or the first word
    that looks like one. With ``are_names``, a line without such a word is a name.
    """
    lines = [_Line(number, line) for number, line in enumerate(text.splitlines(), start=1) if normalized(line)]
    lines = [line for line in lines if line.parts]
    parts = {part for line in lines for part in line.parts}
    existing = set(find_existing(parts)) if parts else set()
    words = {word for line in lines if not existing.intersection(line.parts) for word in line.words} - parts
    existing |= set(find_existing(words)) if words else set()
    return [line.parse(existing, are_names=are_names) for line in lines]


def has_too_many(text: str, limit: int) -> bool:
    """Return True if a text has more than 20 separators per allowed key, so it must have more than ``limit`` keys."""
    return sum(1 for _each in _SEPARATORS.finditer(text)) > 20 * limit


def format_keys(lines: Iterable[PastedLine]) -> str:
    """Return the text with the keys of these lines, without the text beside them."""
    return "\n".join(", ".join(line.keys) for line in lines)


def correct(text: str, lines: Iterable[PastedLine], corrections: Mapping[str, str]) -> str:
    """
    Return the text with keys replaced by their corrections; the rest of the text stays as it was pasted.

    If the correction is empty, the line is removed, or only the key if the line is a list.
    """
    corrected = text.splitlines()
    for line in lines:
        for key in line.keys:
            if key in corrections and corrections[key] != key:
                old, new = corrected[line.number - 1], normalized(corrections[key])
                is_kept = key in old and (new or line.is_list)
                corrected[line.number - 1] = old.replace(key, new, 1) if is_kept else new
    return "\n".join(corrected)


class _Line:
    """A line, split into the parts between separators and into words."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.has_columns = "\t" in text
        # Long parts are shortened, since the page shows a key often.
        self.parts = [shorten(part, MAX_KEY) for each in re.split("[,;\t]", text) if (part := normalized(each))]
        self.words = [
            word for part in self.parts for each in part.split() if (word := normalized(each).strip(_AROUND_WORDS))
        ]

    def parse(self, existing: Collection[str], *, are_names: bool) -> PastedLine:
        is_strict = are_names or self.has_columns
        are_keys = all(part in existing or _is_key(part, is_strict=is_strict) for part in self.parts)
        if len(self.parts) > 1 and are_keys and len({"@" in part for part in self.parts} if are_names else {0}) == 1:
            return PastedLine(self.number, tuple(dict.fromkeys(self.parts)), is_list=True)
        candidates = [*self.parts, *self.words]
        if known := [each for each in candidates if each in existing]:
            return PastedLine(self.number, tuple(dict.fromkeys(known)))
        if likely := next((each for each in candidates if _is_key(each, is_strict=is_strict)), None):
            return PastedLine(self.number, (likely,))
        return PastedLine(self.number, (", ".join(self.parts) if are_names else self.parts[0],))


def _is_key(text: str, *, is_strict: bool) -> bool:
    """Return True for a word that looks like a key: if it may be other text, it has a digit or an at sign."""
    return " " not in text and (not is_strict or "@" in text or any(character.isdigit() for character in text))
