"""What people paste: keys one a line, or parted by commas, semicolons and tabs, as they come out of a spreadsheet."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from school.validators import INVISIBLE


class Pasted(NamedTuple):
    """A key, and what stood beside it: a name, for example, that nobody reads."""

    key: str
    beside: str = ""


def read(text: str, known: Callable[[Collection[str]], Collection[str]]) -> list[Pasted]:
    """
    Return the keys of a text in their order.

    ``known`` picks those of many keys that are known, in one query. In a line with tabs the first column is the key.
    The others are keys too where one of them is known: a row of keys, and not a key with what belongs to it.
    """
    lines = [[_parted(column) for column in line.split("\t")] for line in text.splitlines()]
    further = {key for line in lines for column in line[1:] for key in column}
    found = set(known(further)) if further else set()
    return [each for line in lines for each in _of_line(line, found)]


def written(rows: Iterable[Pasted]) -> str:
    """Return the text that is read as these rows, one a line."""
    return "\n".join("\t".join(filter(None, row)) for row in rows)


def _of_line(line: list[list[str]], known: Collection[str]) -> list[Pasted]:
    first, *others = line
    further = [key for column in others for key in column]
    if not first or any(key in known for key in further):
        return [Pasted(key) for key in (*first, *further)]
    return [*map(Pasted, first[:-1]), Pasted(first[-1], " ".join(further))]


def _parted(column: str) -> list[str]:
    return [key for part in re.split("[,;]", column) if (key := part.strip(INVISIBLE))]
