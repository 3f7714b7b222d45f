"""Exports as CSV with the columns of the imports: importing an export unchanged changes nothing."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import Combinable

from bulk.files.cell_text import escape_formulas
from bulk.files.csv_lines import line_writer
from school.access.access_log import Subject

CHUNK_SIZE = 2_000  # rows that are read at a time
LINES_PER_PIECE = 500


RowReader = Callable[[Iterator[Any], datetime | None], Iterator[Any]]


def _every_row(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows


@dataclass(frozen=True)
class Export:
    """
    An export of one kind of rows.

    ``columns`` has the path of the field, or an expression, for each column. ``select`` leaves out rows that an import
    would not accept. ``subject`` is the name of the data in the record of access, None without personal data.
    ``formats`` has the function that makes the text of a value, for columns whose values are not plain. ``read_as_of``
    yields the rows of an iterator as of an instant; None if the export has current rows only.
    """

    kind: str
    columns: Mapping[str, str | Combinable]
    select: Callable[[Any], QuerySet[Any]] = _every_row
    subject: Subject | None = None
    formats: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    read_as_of: RowReader | None = None

    def stream(self, rows: QuerySet[Any], as_of: datetime | None = None) -> Iterator[tuple[int, str]]:
        """
        Yield the header and the rows as CSV, in pieces of some lines with their number of rows, ordered by id.

        The rows are those of the instant ``as_of``; None is now.
        """
        values = self.select(rows).order_by("pk").values_list(*self.columns.values()).iterator(chunk_size=CHUNK_SIZE)
        if self.read_as_of is not None:
            values = self.read_as_of(values, as_of)
        yield from stream_csv([*self.columns], self._formatted(values) if self.formats else values)

    def _formatted(self, rows: Iterable[Iterable[Any]]) -> Iterator[list[Any]]:
        formats = [self.formats.get(name) for name in self.columns]
        for row in rows:
            yield [make(value) if make else value for make, value in zip(formats, row, strict=True)]


def stream_csv(
    header: Iterable[str], rows: Iterable[Iterable[object]], line_end: str = "\n"
) -> Iterator[tuple[int, str]]:
    """
    Yield the header and the rows as CSV, in pieces of ``LINES_PER_PIECE`` lines, each with its number of rows.

    Cells are escaped, so that no spreadsheet runs them as formulas.
    """
    writer = line_writer(lineterminator=line_end)
    # Python before 3.13 does not quote a bare carriage return in a cell, and CSV readers reject it unquoted.
    quoting = line_writer(lineterminator=line_end, quoting=csv.QUOTE_ALL)
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
    return str(value)
