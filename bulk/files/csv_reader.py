"""
Reads CSV files: UTF-8 with or without a BOM; comma, semicolon or tab; column names in any case.

Files are read as a stream, row by row. Rows are numbered as a spreadsheet shows them: the header is row 1 if nothing is
above it, blank rows count, and a line ``sep=;`` does not.
"""

import csv
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bulk.files.cell_text import clean
from bulk.files.non_csv_detection import HEAD_BYTES, binary_format_error, is_utf_16, text_format_error
from bulk.files.text_lines import InvalidLine, TextLines
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.text_normalization import INVISIBLE

SEPARATORS = ",;\t"
MAX_COLUMNS = 200
MIN_HEADER_NAMES = 2  # the minimum number of known columns in a row that repeats the header
MIN_SEPARATORS = 2  # the minimum number of separators in a line of a cell that looks like a row
MAX_SHOWN_HEADER = 200  # the maximum number of characters of the header in a message
MAX_SHOWN_ROWS = 20

_SEPARATOR_LINE = re.compile(
    r"\ufeff*[\s\"']*sep[ ]*=[ ]*[\"']?(?P<separator>\\t|[^\r\n\"'])[^\w\r\n]*(?=[\r\n]|\Z)", re.IGNORECASE
)
_GAPS = re.compile(rf"[\s_\-\u2010-\u2015\u2212{re.escape(INVISIBLE)}]+")
_DASHES = re.compile(r"[-\u2010-\u2015\u2212_=+|:]+")


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of a kind of file. ``aliases`` are its names in other systems, in lower case.

    If the header lacks this column, the first of ``fallbacks`` in the header is read as this column. If the header has
    this column, its empty cells are filled from the columns of ``fallbacks``.
    """

    name: str
    required: bool = False
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(slots=True)
class Row:
    """
    A row: ``raw`` has the original cells of the file, ``cells`` the cleaned cells of the known columns by name.

    A row with ``is_synthetic`` is in no file: it is generated for an object, by an undo or by a full import.
    Its ``file_number`` is the number of the row in the file of the import that is undone, 0 if that has no row for it.
    ``unresolved`` has the refusals of references that match no row or several rows; their cells are not replaced. With
    ``has_complete_key``, an empty cell of the key is not filled from an option: the row matches only an object without
    this value.
    """

    number: int
    raw: list[str]
    cells: dict[str, str] = field(default_factory=dict)
    errors: tuple[Refusal, ...] = ()
    is_synthetic: bool = False
    unresolved: tuple[Refusal, ...] = ()
    has_complete_key: bool = False
    file_number: int | None = None


class UnreadableFile(Exception):
    """The file cannot be read as CSV at all, or not beyond a certain row. ``name`` is its name in a zip."""

    def __init__(self, code: str, message: str, row: int | None = None, name: str = "") -> None:
        self.code = code
        self.row = row
        message = _("Row %(row)s: %(message)s") % {"row": row, "message": message} if row else message
        self.message = with_file_name(name, message)
        super().__init__(self.message)


def with_file_name(name: str, message: str) -> str:
    """Return a message that begins with the name of a file in a zip, if the file has one."""
    return _("%(file)s: %(message)s") % {"file": name, "message": message} if name else message


@contextmanager
def open_source(path: str) -> Iterator[BinaryIO]:
    """
    Open a file so that it can be read more than once; ``-`` is standard input.

    Standard input and other sources that can be read only once, a pipe for example, are copied to a temporary file.
    Raise ``UnreadableFile`` if the file cannot be opened.
    """
    if path == "-":
        with _temporary_copy(sys.stdin.buffer) as copy:
            yield copy
        return
    try:
        # The file is opened outside of the caller's block, so that only errors of the file are reported as such.
        source = Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        message = _("Cannot read %(path)s: %(why)s.") % {"path": path, "why": error.strerror}
        raise UnreadableFile("no_file", message) from None
    with source:
        if source.seekable():
            yield source
        else:
            with _temporary_copy(source) as copy:
                yield copy


@contextmanager
def _temporary_copy(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


class Table:
    """A CSV file with a header. Each iteration reads the file from the top. ``name`` is its name in a zip."""

    def __init__(self, source: BinaryIO, columns: Sequence[Column], name: str = "") -> None:
        self.source = source
        self.columns = columns
        self.name = name
        self.repeated_headers: list[int] = []
        self.column_names = {
            _normalized_name(n): column.name for column in columns for n in (column.name, *column.aliases)
        }
        source.seek(0)
        head = source.read(HEAD_BYTES)
        if message := binary_format_error(head):
            raise self._unreadable("not_text", message)
        if is_utf_16(head):
            message = _("The file is UTF-16, which Excel calls Unicode text. Save it as CSV in UTF-8.")
            raise self._unreadable("not_text", message, 1)
        try:
            self._read_header(head)
        except UnreadableFile:
            if message := text_format_error(head):
                raise self._unreadable("not_csv", message) from None
            raise

    def _read_header(self, head: bytes) -> None:
        declared = _SEPARATOR_LINE.match(head.decode("utf-8", "replace"))
        self.has_separator_line = declared is not None
        self.separator = self._declared_separator(declared["separator"]) if declared else self._detect_separator()
        header = self._first_row(self.separator)
        if header is None:
            raise self._unreadable("empty_file", _("The file is empty."))
        self.header_number, self.header = header
        names = self._match_columns(self.header)
        # Separators after the last name add no columns.
        self.width = max((position for position, cell in enumerate(self.header, 1) if clean(cell)), default=0)
        if self.width > MAX_COLUMNS:
            message = _("The header has %(found)s columns. The maximum is %(most)s.")
            parts = {"found": self.width, "most": MAX_COLUMNS}
            raise self._unreadable("too_many_columns", message % parts, self.header_number)
        self.names = names[: self.width]
        self._check_header()
        variants = {variant for name in self.column_names.values() for variant in _spellings(name)}
        variants |= {variant for name in self.column_names for variant in _spellings(name)}
        variants |= {variant for cell in self.header if clean(cell) for variant in (cell, *_spellings(clean(cell)))}
        self.header_spellings = frozenset(variants)

    @property
    def unknown_columns(self) -> list[str]:
        """The names of the columns that are ignored; a column without a name is named by its position."""
        unknown = [(index, clean(self.header[index])) for index, name in enumerate(self.names) if name is None]
        return [cell or _("column %(number)s") % {"number": index + 1} for index, cell in unknown]

    @property
    def warnings(self) -> list[Refusal]:
        """
        The warnings about columns and rows that are ignored.

        Rows that repeat the header are known after ``count``.
        """
        warnings = []
        if unknown := self.unknown_columns:
            message = _("Ignored unknown columns: %(names)s") % {"names": ", ".join(unknown)}
            warnings.append(Refusal("unknown_columns", with_file_name(self.name, message)))
        if self.repeated_headers:
            numbers = ", ".join(map(str, self.repeated_headers[:MAX_SHOWN_ROWS]))
            numbers += ", …" if len(self.repeated_headers) > MAX_SHOWN_ROWS else ""
            message = _("Ignored rows that repeat the header: %(numbers)s") % {"numbers": numbers}
            warnings.append(Refusal("repeated_header", with_file_name(self.name, message)))
        return warnings

    def count(self) -> int:
        """Read the whole file once and return the number of its rows; raise ``UnreadableFile``."""
        return sum(1 for _row in self._rows())

    def __iter__(self) -> Iterator[Row]:
        width = self.width
        known = [(name, index) for index, name in enumerate(self.names) if name]
        fallbacks = [(column.name, name) for column in self.columns for name in column.fallbacks if name in self.names]
        for number, raw, is_unusual in self._rows():
            if len(raw) == width and not is_unusual:
                cells = raw
            elif refusal := self._shape_error(raw):
                yield Row(number, raw, errors=(refusal,))
                continue
            else:
                cells = raw + [""] * (width - len(raw))
            row = Row(number, raw, {name: clean(cells[index]) for name, index in known})
            for name, fallback in fallbacks:
                row.cells[name] = row.cells[name] or row.cells[fallback]
            yield row

    def chunks(self, size: int) -> Iterator[list[Row]]:
        """Yield the rows in chunks; raise ``UnreadableFile``."""
        rows = iter(self)
        while chunk := list(islice(rows, size)):
            yield chunk

    def _rows(self) -> Iterator[tuple[int, list[str], bool]]:
        """
        Yield the non-blank rows below the header: the row number, the cells, and True if the number of cells must be
        checked.
        """
        self.repeated_headers = []
        spellings = self.header_spellings
        header_number = self.header_number
        for number, raw, is_one_line in self._records(self.separator):
            if is_one_line and raw and raw[0][:1].isalnum() and spellings.isdisjoint(raw):
                if number > header_number:
                    yield number, raw, False
            elif number > header_number and not _is_blank(raw) and not self._repeats_header(raw, number):
                yield number, raw, True

    def _shape_error(self, raw: list[str]) -> Refusal | None:
        """Return the error of a row with misplaced or missing cells, with other rows in a cell, or with dashes only."""
        if any(map(clean, raw[self.width :])):
            message = _("This row has %(found)s cells, but the header has %(expected)s.")
            return Refusal("ragged_row", message % {"found": len(raw), "expected": self.width})
        if any(map(self._contains_rows, raw)):
            return Refusal(
                "ragged_row", _("A cell of this row contains other rows. Check for a missing closing quote.")
            )
        required = {column.name for column in self.columns if column.required}
        if missing := [name for name in self.names[len(raw) :] if name in required]:
            message = _("This row has %(found)s cells, but the header has %(expected)s. Missing: %(names)s.")
            parts = {"found": len(raw), "expected": self.width, "names": ", ".join(missing)}
            return Refusal("ragged_row", message % parts, field=missing[0])
        if all(_DASHES.fullmatch(cell) for cell in map(clean, raw) if cell):
            return Refusal("dashes", _("This line has only dashes. Delete it."))
        return None

    def _contains_rows(self, cell: str) -> bool:
        """
        Return True if a further line of the cell looks like a row.

        Such a line has enough separators, none of which is followed by a blank as in prose.
        """
        separators = max(self.width - 1, MIN_SEPARATORS)
        further_lines = cell.splitlines()[1:] if "\n" in cell or "\r" in cell else []
        return any(
            line.count(self.separator) >= separators and f"{self.separator} " not in line for line in further_lines
        )

    def _repeats_header(self, raw: list[str], number: int) -> bool:
        """True if the row repeats the header, as in concatenated files; raise ``UnreadableFile`` for another header."""
        names = self._match_columns(raw)
        if len({name for name in names if name}) < MIN_HEADER_NAMES:
            return False
        if names[: self.width] + [None] * (self.width - len(names)) != self.names or any(names[self.width :]):
            message = _("This row is a header with other columns. Send files with different columns separately.")
            raise self._unreadable("second_header", message, number)
        self.repeated_headers.append(number)
        return True

    def _records(self, separator: str) -> Iterator[tuple[int, list[str], bool]]:
        """
        Yield every row, including blank ones: the row number, the cells, and True if the row takes only one line.

        A line ``sep=;`` at the top is not a row.
        """
        lines = TextLines(self.source, separator)
        texts = iter(lines)
        number = 0
        try:
            if self.has_separator_line:
                next(texts)
                lines.row = 0
            reader = csv.reader(texts, delimiter=separator, strict=True)
            last_line = 0
            for number, raw in enumerate(reader, 1):
                lines.row = number
                yield number, raw, reader.line_num == last_line + 1
                last_line = reader.line_num
        except InvalidLine as problem:
            raise self._unreadable(problem.code, problem.message, number + 1) from None
        except csv.Error as error:
            message = _("This row is not valid CSV (%(why)s).") % {"why": error}
            raise self._unreadable("malformed_csv", message, number + 1) from None

    def _first_row(self, separator: str) -> tuple[int, list[str]] | None:
        """Return the first row that is not blank, with its number."""
        return next(((number, raw) for number, raw, _one in self._records(separator) if not _is_blank(raw)), None)

    def _declared_separator(self, separator: str) -> str:
        """Return the separator that a line ``sep=;`` states; raise ``UnreadableFile`` for an unknown one."""
        separator = "\t" if separator == r"\t" else separator
        if separator not in SEPARATORS:
            message = _("%(separator)s is not a supported separator. Use a comma, a semicolon or a tab.")
            raise self._unreadable("unknown_separator", message % {"separator": separator}, 1)
        return separator

    def _detect_separator(self) -> str:
        """Return the separator with which the first row has the most known columns."""
        return max(SEPARATORS, key=self._count_known_columns)

    def _count_known_columns(self, separator: str) -> int:
        try:
            first = self._first_row(separator)
        except UnreadableFile:
            return -1
        return sum(self._column_name(cell) is not None for cell in first[1][:MAX_COLUMNS]) if first else 0

    def _column_name(self, cell: str) -> str | None:
        """Return the name of the column for a cell of the header, None for an unknown one."""
        return self.column_names.get(_normalized_name(cell))

    def _match_columns(self, cells: Sequence[str]) -> list[str | None]:
        """
        Return the column names of a header.

        If the header lacks a column, a column of its ``fallbacks`` gets the name.
        """
        names = [self._column_name(cell) for cell in cells[: MAX_COLUMNS + 1]]
        for column in self.columns:
            fallback = next((name for name in column.fallbacks if name in names), None)
            if fallback and column.name not in names:
                names = [column.name if name == fallback else name for name in names]
        return names

    def spelling(self, column: str) -> str:
        """
        Return a column's name in the header, lower-case without blanks, hyphens and underscores; "" if there is none.
        """
        return _normalized_name(self.header[self.names.index(column)]) if column in self.names else ""

    def _check_header(self) -> None:
        missing = [column.name for column in self.columns if column.required and column.name not in self.names]
        if missing:
            message = _("Columns missing in the header: %(names)s. This row was read as the header: %(found)s.")
            header_text = " | ".join(clean(cell) for cell in self.header)
            parts = {
                "names": ", ".join(missing),
                "found": header_text if len(header_text) <= MAX_SHOWN_HEADER else f"{header_text[:MAX_SHOWN_HEADER]}…",
            }
            raise self._unreadable("missing_column", message % parts, self.header_number)
        duplicates = sorted(name for name, count in Counter(filter(None, self.names)).items() if count > 1)
        if duplicates:
            message = _("The header has more than one column for: %(names)s.") % {"names": ", ".join(duplicates)}
            raise self._unreadable("duplicate_column", message, self.header_number)

    def _unreadable(self, code: str, message: str, row: int | None = None) -> UnreadableFile:
        return UnreadableFile(code, message, row, self.name)


def _is_blank(raw: list[str]) -> bool:
    return not any(map(clean, raw))


def _normalized_name(name: str) -> str:
    """Return a cell of the header in lower case, without blanks, hyphens and underscores."""
    return _GAPS.sub("", clean(name)).lower()


def _spellings(name: str) -> Iterator[str]:
    """Yield the usual spellings of a column name."""
    words = _GAPS.split(name.lower())
    for gap in ("_", " ", "-", ""):
        spelled = gap.join(words)
        yield from (spelled, spelled.upper(), spelled.title(), spelled.capitalize())
