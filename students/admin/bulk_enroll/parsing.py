"""Parses pasted keys: one per line, or separated by commas, semicolons and tabs, as copied from a spreadsheet."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from school.refusals import shorten
from school.validators import normalized

MAX_KEY = 200  # characters; a course code with its term has at most 97
_SEPARATORS = re.compile(r"[\n\t,;]")


class PastedKey(NamedTuple):
    """A key and the text after it in its line, for example a name, which is not used."""

    key: str
    trailing_text: str = ""


def parse_keys(text: str, find_existing: Callable[[Collection[str]], Collection[str]]) -> list[PastedKey]:
    """
    Return the keys of a text in their order.

    ``find_existing`` returns those of the given keys that exist, with one query. In a line with tabs the first column
    is the key. The other columns are keys too if one of them exists; otherwise they are trailing text.
    """
    lines = [[_split_keys(column) for column in line.split("\t")] for line in text.splitlines() if line.strip()]
    other_keys = {key for line in lines for column in line[1:] for key in column}
    existing = set(find_existing(other_keys)) if other_keys else set()
    return [key for line in lines for key in _parse_line(line, existing)]


def has_too_many(text: str, limit: int) -> bool:
    """Return True if a text has more than 20 separators per allowed key, so it must have more than ``limit`` keys."""
    return sum(1 for _each in _SEPARATORS.finditer(text)) > 20 * limit


def format_keys(rows: Iterable[PastedKey]) -> str:
    """Return the text with these rows, one per line. ``parse_keys`` parses it into the same rows."""
    return "\n".join("\t".join(filter(None, row)) for row in rows)


def _parse_line(line: list[list[str]], existing: Collection[str]) -> list[PastedKey]:
    first, *other_columns = line
    other_keys = [key for column in other_columns for key in column]
    if not first or any(key in existing for key in other_keys):
        return [PastedKey(key) for key in (*first, *other_keys)]
    return [*map(PastedKey, first[:-1]), PastedKey(first[-1], " ".join(other_keys))]


def _split_keys(column: str) -> list[str]:
    """Return the keys in a column. Keys longer than ``MAX_KEY`` are shortened, since the page shows a key often."""
    return [shorten(key, MAX_KEY) for part in re.split("[,;]", column) if (key := normalized(part))]
