"""
Reading CSV as people make it: UTF-8 with or without a BOM; comma, semicolon or tab; names in any case.

Files are read as a stream, row by row. Rows are numbered as a spreadsheet does: the header is row 1.
"""

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from django.utils.translation import gettext as _

from bulk.ahead import read_ahead
from bulk.cells import clean
from school.refusals import Refusal

MAX_ROW_BYTES = 1_000_000
SEPARATORS = ",;\t"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a kind of file may have. ``aliases`` are what other systems call it, in lower case."""

    name: str
    required: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(slots=True)
class Row:
    """
    A row: its cells as they came, and, cleaned, by the names of the columns that are known.

    A row that ``is_made`` stands in no file: it is about something that the file does not speak of.
    """

    number: int
    raw: list[str]
    cells: dict[str, str] = field(default_factory=dict)
    errors: tuple[Refusal, ...] = ()
    is_made: bool = False


class UnreadableFile(Exception):
    """The file cannot be read as CSV, from this row on."""

    def __init__(self, code: str, message: str, row: int | None = None) -> None:
        self.code = code
        self.row = row
        super().__init__(_("Row %(row)s: %(message)s") % {"row": row, "message": message} if row else message)


@contextmanager
def open_source(path: str) -> Iterator[BinaryIO]:
    """
    Open a file that can be read more than once; ``-`` is standard input.

    It and everything else that can be read once only, a pipe for example, is kept in a temporary file meanwhile.
    Raise ``UnreadableFile`` where there is none.
    """
    if path == "-":
        with _kept(sys.stdin.buffer) as kept:
            yield kept
        return
    try:
        # Opened before the caller's block, so that no OSError of the block is taken for one of the file.
        source = Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        message = _("Cannot read %(path)s: %(why)s.") % {"path": path, "why": error.strerror}
        raise UnreadableFile("no_file", message) from None
    with source:
        if source.seekable():
            yield source
        else:
            with _kept(source) as kept:
                yield kept


@contextmanager
def _kept(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(source, kept)
        kept.seek(0)
        yield kept


class Table:
    """A CSV file under its header. Iterating reads from the top, each time anew."""

    def __init__(self, source: BinaryIO, columns: Sequence[Column]) -> None:
        self.source = source
        self.columns = columns
        self.separator = self._tell_separator()
        records = self._records()
        try:
            _number, self.header = next(records)
        except StopIteration:
            raise UnreadableFile("empty_file", _("The file is empty.")) from None
        self.names = [self._name(cell) for cell in self.header]
        self._check_header()

    @property
    def unknown_columns(self) -> list[str]:
        return [cell for cell, name in zip(self.header, self.names, strict=True) if name is None]

    def count(self) -> int:
        """Read the whole file once and return the number of its rows; raise ``UnreadableFile``."""
        return sum(1 for _number, raw in self._records() if raw) - 1  # the header

    def __iter__(self) -> Iterator[Row]:
        records = self._records()
        next(records)
        width = len(self.names)
        known = [(name, place) for place, name in enumerate(self.names) if name]
        for number, raw in records:
            if not raw:
                continue
            if len(raw) != width:
                message = _("This row has %(found)s cells, the header has %(expected)s.")
                refusal = Refusal("ragged_row", message % {"found": len(raw), "expected": width})
                yield Row(number, raw, errors=(refusal,))
            else:
                yield Row(number, raw, {name: clean(raw[place]) for name, place in known})

    def chunks(self, size: int) -> Iterator[list[Row]]:
        """Yield the rows in chunks, reading ahead; raise ``UnreadableFile``."""
        return read_ahead(iter(self), size)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield every row with its number, blank ones too."""
        self.source.seek(0)
        lines = _Lines(self.source)
        reader = csv.reader(lines, delimiter=self.separator, strict=True)
        number = 1
        while True:
            try:
                raw = next(reader)
            except StopIteration:
                return
            except _BadLine as problem:
                raise UnreadableFile(problem.code, str(problem), number) from None
            except csv.Error as error:
                message = _("This is not valid CSV (%(why)s).") % {"why": error}
                raise UnreadableFile("malformed_csv", message, number) from None
            yield number, raw
            lines.row_size = 0
            number += 1

    def _tell_separator(self) -> str:
        """Return the separator under which the first row has the most columns that are known."""
        self.source.seek(0)
        try:
            first = next(_Lines(self.source), "")
        except _BadLine as problem:
            raise UnreadableFile(problem.code, str(problem), 1) from None
        return max(SEPARATORS, key=lambda separator: sum(self._name(n) is not None for n in first.split(separator)))

    def _name(self, cell: str) -> str | None:
        """Return the name of the column that a header's cell means, None for one that is not known."""
        asked = clean(cell.strip().strip('"')).lower()
        for column in self.columns:
            if asked == column.name or asked in column.aliases:
                return column.name
        return None

    def _check_header(self) -> None:
        missing = [column.name for column in self.columns if column.required and column.name not in self.names]
        if missing:
            message = _("The header lacks: %(names)s.") % {"names": ", ".join(missing)}
            raise UnreadableFile("missing_column", message, 1)
        known = [name for name in self.names if name]
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            message = _("The header has more than one column for: %(names)s.") % {"names": ", ".join(twice)}
            raise UnreadableFile("duplicate_column", message, 1)


class _BadLine(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class _Lines:
    """The lines of a file as text. A row may take several, ``row_size`` bounds it all the same."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.row_size = 0
        self.encoding = "utf-8-sig"

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.source.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.row_size += len(line)
        if self.row_size > MAX_ROW_BYTES:
            message = _("This row is longer than %(most)s bytes. Is a quote not closed?") % {"most": MAX_ROW_BYTES}
            raise _BadLine("row_too_long", message)
        if b"\0" in line:
            raise _BadLine("not_text", _("This is not text. Save the file as CSV in UTF-8."))
        try:
            text = line.decode(self.encoding)
        except UnicodeDecodeError as error:
            message = _("The byte 0x%(byte)02x is not UTF-8. Save the file as CSV in UTF-8.")
            raise _BadLine("not_utf8", message % {"byte": line[error.start]}) from None
        self.encoding = "utf-8"
        return text
