"""Parses pasted keys: one per line, or separated by commas, semicolons and tabs, as copied from a spreadsheet."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from school.refusals import shorten
from school.validators import normalized

MAX_KEY = 200  # characters; a course code with its term has at most 97
_SEPARATORS = re.compile(r"[\n\t,;]")


class Pasted(NamedTuple):
    """A key and the text beside it, for example a name, which is not used."""

    key: str
    beside: str = ""


def read(text: str, known: Callable[[Collection[str]], Collection[str]]) -> list[Pasted]:
    """
    Return the keys of a text in their order.

    ``known`` returns the keys that exist among given ones, with one query. In a line with tabs the first column is the
    key. The other columns are keys too if one of them exists; otherwise they are text beside the key.
    """
    lines = [[_parted(column) for column in line.split("\t")] for line in text.splitlines() if line.strip()]
    further = {key for line in lines for column in line[1:] for key in column}
    found = set(known(further)) if further else set()
    return [each for line in lines for each in _of_line(line, found)]


def has_too_many(text: str, most: int) -> bool:
    """Return True if a text has more than 20 separators per allowed key, so it must have more than ``most`` keys."""
    return sum(1 for _each in _SEPARATORS.finditer(text)) > 20 * most


def written(rows: Iterable[Pasted]) -> str:
    """Return the text with these rows, one per line. ``read`` parses it into the same rows."""
    return "\n".join("\t".join(filter(None, row)) for row in rows)


def _of_line(line: list[list[str]], known: Collection[str]) -> list[Pasted]:
    first, *others = line
    further = [key for column in others for key in column]
    if not first or any(key in known for key in further):
        return [Pasted(key) for key in (*first, *further)]
    return [*map(Pasted, first[:-1]), Pasted(first[-1], " ".join(further))]


def _parted(column: str) -> list[str]:
    """Return the keys in a column. Keys longer than ``MAX_KEY`` are shortened, since the page shows a key often."""
    return [shorten(key, MAX_KEY) for part in re.split("[,;]", column) if (key := normalized(part))]
