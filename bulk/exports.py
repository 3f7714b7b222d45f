"""Exports as CSV with the columns of the imports: importing an export unchanged changes nothing."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import Combinable

from bulk.files.csv_cells import escape_formulas, join_list
from school.access.access_log import Subject

CHUNK_SIZE = 2_000  # rows that are read at a time
LINES_PER_PIECE = 500


def _every_row(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows


@dataclass(frozen=True)
class Export:
    """
    An export of one kind of rows.

    ``columns`` has the path of the field, or an expression, for each column. ``select`` leaves out rows that an import
    would not accept. ``subject`` is the name of the data in the record of access, None without personal data.
    """

    kind: str
    columns: Mapping[str, str | Combinable]
    select: Callable[[Any], QuerySet[Any]] = _every_row
    subject: Subject | None = None

    def stream(self, rows: QuerySet[Any]) -> Iterator[tuple[int, str]]:
        """Yield the header and the rows as CSV, in pieces of some lines with their number of rows, ordered by id."""
        yield from stream_csv(
            [*self.columns],
            self.select(rows).order_by("pk").values_list(*self.columns.values()).iterator(chunk_size=CHUNK_SIZE),
        )


class _Echo:
    """A file object whose ``write`` returns its argument, so that ``csv.writer`` returns each line."""

    def write(self, line: str) -> str:
        return line


def stream_csv(
    header: Iterable[str], rows: Iterable[Iterable[object]], line_end: str = "\n"
) -> Iterator[tuple[int, str]]:
    """
    Yield the header and the rows as CSV, in pieces of ``LINES_PER_PIECE`` lines, each with its number of rows.

    Cells are escaped, so that no spreadsheet runs them as formulas.
    """
    writer = csv.writer(_Echo(), lineterminator=line_end)
    # Python before 3.13 does not quote a bare carriage return in a cell, and CSV readers reject it unquoted.
    quoting = csv.writer(_Echo(), lineterminator=line_end, quoting=csv.QUOTE_ALL)
    lines, count = [writer.writerow(header)], 0
    for row in rows:
        cells = [escape_formulas(_as_text(value)) for value in row]
        lines.append((quoting if any("\r" in cell for cell in cells) else writer).writerow(cells))
        count += 1
        if len(lines) >= LINES_PER_PIECE:
            yield count, "".join(lines)
            lines, count = [], 0
    yield count, "".join(lines)


def _as_text(value: Any) -> str:
    """Return the cell that an import reads as this value."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case list():
            return join_list(value)
    return str(value)
