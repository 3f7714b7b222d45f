"""
Searches stored files for the rows about a person: a cell is a number or an email of the person, or mentions one.

A file is first searched as text, which is fast, and is parsed as CSV only if the text matches. It is parsed as the
importer of its kind does it. In addition, the pieces between all possible separators are compared: a row is also found
if a person would read other cells than the importer. A row that is not valid CSV is about every person that it
mentions.
"""

import codecs
import csv
import html
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote

from bulk.file_store import CHUNK_BYTES, open_kept
from bulk.files.csv_cells import clean
from bulk.files.csv_reader import SEPARATORS, Column, Table, UnreadableFile
from bulk.files.text_lines import MAX_ROW_BYTES, TextLines
from bulk.files.zip_reader import contents_of_zip, has_comments
from bulk.importers.registry import kinds, parts_of
from bulk.models import UNDO, ZIP, Import, Mode, OutcomePage
from bulk.row_results import told_of
from school.validators import likely_identifiers, lookalike_key

MIN_MENTIONED = 6  # characters of a number that is searched for in longer cells: a shorter one may be a room
# Characters of the previous block that are searched again, for each byte of the longest spelling: a letter may be
# composed of several characters.
OVERLAP = 8
_PIECES = re.compile(r'[,;\t|"\r\n]+')


class Words:
    """
    The identifiers of a person: numbers, emails and names.

    ``others`` are numbers of other students that differ from one of ``numbers`` in their spelling only.
    """

    def __init__(
        self, numbers: Iterable[str], emails: Iterable[str], names: Iterable[str] = (), others: Iterable[str] = ()
    ) -> None:
        self.numbers = frozenset(filter(None, numbers))
        self.emails = frozenset(email.lower() for email in emails if email)
        self.names = frozenset(filter(None, names))
        self.others = frozenset(others)
        self.keys = frozenset(map(lookalike_key, self.numbers | self.emails))
        self.needles = sorted(
            {lookalike_key(spelled) for word in self.numbers | self.emails for spelled in _spellings(word)}
        )
        self.longest = max((len(needle.encode("utf-8", "surrogateescape")) for needle in self.needles), default=0)
        long = [word for word in self.numbers | self.emails if "@" in word or len(word) >= MIN_MENTIONED]
        self._mentioned = _whole_words({lookalike_key(spelled) for word in long for spelled in _spellings(word)})
        self._identified = _whole_words(self.needles)
        self._free_text = _whole_words({lookalike_key(each) for word in self.names for each in _spellings(word)})

    def __or__(self, other: "Words") -> "Words":
        numbers, emails = self.numbers | other.numbers, self.emails | other.emails
        return Words(numbers, emails, self.names | other.names, self.others | other.others)

    def may_be_in(self, content: bytes | str) -> bool:
        """
        True if the text contains a number or an email, however it is spelled or escaped, also within a longer word.
        """
        text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
        alike = lookalike_key(text)
        return any(needle in alike for needle in self.needles)

    def name(self, cells: Iterable[str]) -> bool:
        """True if one of these cells is a number or an email, or mentions one."""
        return any(self._is_in_cell(clean(cell)) for cell in cells if cell)

    def _is_in_cell(self, cell: str) -> bool:
        if cell in self.others:
            return False
        if any(lookalike_key(each).strip() in self.keys for each in (cell, *likely_identifiers(cell))):
            return True
        return bool(self._mentioned and self._mentioned.search(lookalike_key(cell)))

    def mention_in(self, text: str) -> str:
        """Return the first number, email or name that a short text has as a whole word; "" if it has none."""
        found = self._free_text and self._free_text.search(lookalike_key(text))
        return found[0] if found else self.identified_in(text)

    def identified_in(self, text: str) -> str:
        """Return the first number or email that a text has as a whole word; "" if it has none."""
        found = self._identified and self._identified.search(lookalike_key(text))
        return found[0] if found else ""


def _spellings(word: str) -> Iterator[str]:
    """Yield a word as it is, and as CSV, JSON, URLs and HTML escape it."""
    yield from (word, word.replace('"', '""'), json.dumps(word)[1:-1], quote(word), quote(word, safe=""))
    yield from (html.escape(word), word.encode("ascii", "xmlcharrefreplace").decode())
    if word.isascii() and word.isdecimal():
        yield re.sub(r"\B(?=(\d{3})+$)", ",", word)  # as a spreadsheet groups the digits of a number


def _whole_words(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for one of these words, neither preceded nor followed by a letter or a digit."""
    parts = [re.escape(word) for word in sorted(words, key=len, reverse=True)]
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])") if parts else None


class Trace(NamedTuple):
    """A row about a person, with its range of bytes in the file. A row that is not valid CSV has no cells."""

    number: int
    cells: list[str]
    start: int
    end: int


class NamedRow(NamedTuple):
    """A row about a person, with its outcome."""

    part: str
    number: int
    cells: dict[str, str]
    outcome: str = ""
    errors: list[str] = []  # a named tuple's default is never changed
    note: str = ""


class Search(NamedTuple):
    """
    The ids of the imports that name or may name a person, of those that cannot be searched, and of the newest import.

    A zip with content that no import reads may name any person.
    """

    named: list[int]
    unread: list[int]
    newest: int = 0


def search(words: Words, *, after: int = 0, among: Collection[int] | None = None) -> Search:
    """Search the imports with an id greater than ``after`` for a person; only those in ``among``, if given."""
    newest = Import.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    found = Search([], [], newest)
    jobs = Import.objects.filter(pk__gt=after).order_by("pk")
    for job in jobs.iterator() if among is None else jobs.filter(pk__in=among):
        try:
            is_named = _is_in_files(job, words) or _is_in_pages(job, words) or is_in_notes(job, words)
        except UnreadableFile:
            found.unread.append(job.pk)
        else:
            found.named.extend([job.pk] if is_named else [])
    return found


class KeptFile(NamedTuple):
    """
    A file of an import. ``name`` is its name in a zip, ``columns`` is None for a file that no importer reads.

    ``part`` is empty for a file in a zip whose rows are not applied.
    """

    part: str
    content: BinaryIO
    columns: Sequence[Column] | None
    name: str = ""


def files_of(job: Import) -> Iterator[KeptFile]:
    """Yield the stored files of an import. Raise ``UnreadableFile`` for an unreadable zip."""
    if job.kind == UNDO or job.discarded_at:
        return
    if job.kind != ZIP:
        importer = kinds().get(job.kind)
        yield KeptFile("", open_kept(job), importer.columns if importer else None)
        return
    looked_up = {name: columns for each in kinds().values() for name, columns in each.looked_up_columns.items()}
    applied = _applied_in_zip(job)
    for table in contents_of_zip(open_kept(job), job.size).tables:
        importer = kinds().get(part_of(table.stem))
        columns = importer.columns if importer else looked_up.get(table.stem)
        yield KeptFile(applied.get(table.name, ""), table.content, columns, table.name)


def _applied_in_zip(job: Import) -> dict[str, str]:
    """Return the parts of a zip by the names of their files; empty for a zip that cannot be imported."""
    with suppress(UnreadableFile):
        return {part.importer.file_name: part.name for part in parts_of(job)}
    return {}


def is_in_notes(job: Import, words: Words) -> bool:
    """True if a text of the import itself names a person: file name, dataset, options, problems or warnings."""
    free = " ".join([job.file_name, job.dataset, *map(str, job.options.values())])
    return bool(words.mention_in(free)) or words.may_be_in(text_of([job.problems, job.warnings]))


def part_of(stem: str) -> str:
    """Return the part of a zip for the stem of a file's name: a kind, or the stem itself for any other file."""
    return next((kind for kind, importer in kinds().items() if stem in importer.file_names), stem)


def traces_in(file: BinaryIO, words: Words, columns: Sequence[Column] | None = None) -> Iterator[Trace]:
    """
    Yield the rows of a file that are about a person, in order.

    ``columns`` are the columns of the file's kind; without them, the file is read as the first kind that can read it.
    """
    return (trace for trace in _records(file, words, columns) if not trace.cells or words.name(_pieces(trace.cells)))


def _pieces(cells: Collection[str]) -> Iterator[str]:
    yield from chain(cells, chain.from_iterable(map(_PIECES.split, cells)))
    yield ";".join(cells)  # a semicolon may have split an HTML character reference


def rows_naming(job: Import, words: Words) -> Iterator[NamedRow]:
    """Yield the rows of an import that are about a person, with their outcomes."""
    for part, file, columns, _name in files_of(job):
        header = next((each.cells for each in _records(file, None, columns) if any(map(clean, each.cells))), [])
        found = {trace.number: _readable(trace.cells) for trace in traces_in(file, words, columns)}
        if found:
            told = {each.number: each for each in told_of(job, part=part) if each.number in found}
            for number, cells in found.items():
                yield _named(part, number, dict(zip(header, cells, strict=False)), told.get(number))
    if makes_rows(job):
        for each in told_of(job):
            if each.raw and words.name(each.raw):
                yield _named("", each.number, {str(n): cell for n, cell in enumerate(each.raw, 1)}, each)


def makes_rows(job: Import) -> bool:
    """Return True if an import has rows that are in no file; their cells are stored with their outcomes."""
    return job.kind == UNDO or job.mode == Mode.FULL


def contents_of(page: Any) -> Any:
    """Return the stored content of a page of outcomes as the values of its JSON."""
    return json.loads(zlib.decompress(page))


def _named(part: str, number: int, cells: dict[str, str], told: Any) -> NamedRow:
    if told is None:
        return NamedRow(part, number, cells)
    return NamedRow(part, number, cells, told.outcome, [message for _code, _field, message in told.errors], told.note)


def _is_in_files(job: Import, words: Words) -> bool:
    """True if a file may name a person; raise ``UnreadableFile`` for a file that is not text and cannot be searched."""
    files = list(files_of(job))
    if job.kind == ZIP and not job.discarded_at:
        contents = contents_of_zip(open_kept(job), job.size)
        is_read = all(file.columns for file in files) and not contents.others and not contents.by_system
        names = " ".join(file.name for file in files)
        if not is_read or has_comments(open_kept(job), job.size) or words.mention_in(names):
            return True
    return sum(_is_in(file.content, words) for file in files) > 0  # reads all files: each has to be text


def _is_in(file: BinaryIO, words: Words) -> bool:
    found, before, decoder = False, "", codecs.getincrementaldecoder("utf-8")()
    while True:
        piece = file.read(CHUNK_BYTES)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError:
            raise UnreadableFile("not_utf8", "") from None
        if "\0" in text:
            raise UnreadableFile("not_text", "")
        found = found or words.may_be_in(before + text)
        if not piece:
            return found
        before = text[-OVERLAP * words.longest :]


def _is_in_pages(job: Import, words: Words) -> bool:
    pages = OutcomePage.objects.filter(file_import=job).values_list("content", flat=True)
    return any(words.may_be_in(text_of(contents_of(page))) for page in pages.iterator(chunk_size=10))


def text_of(values: Any) -> str:
    """Return JSON values as a text without escapes for characters outside ASCII."""
    return json.dumps(values, ensure_ascii=False)


class _Position:
    """The position of the reader in a file, in bytes, and whether a line since the last row has a word in it."""

    def __init__(self, words: Words | None) -> None:
        self.words = words
        self.end = 0
        self.has_word = words is None

    def move(self, line: str) -> None:
        content = line.encode("utf-8", "surrogateescape")
        self.end += len(content)
        self.has_word = self.has_word or (self.words is not None and self.words.may_be_in(content))


def _records(file: BinaryIO, words: Words | None, columns: Sequence[Column] | None) -> Iterator[Trace]:
    """Yield the rows that contain a word, or all rows; they are numbered as in the import's report."""
    table = _table_in(file, columns)
    position = _Position(words)
    lines = TextLines(file, table.separator if table else _separator_of(file), position.move)
    texts = iter(lines)
    number = start = 0
    if table and table.has_separator_line:
        next(texts)
        start = position.end
        lines.row = 0
    reader = csv.reader(texts, delimiter=lines.separator, strict=True)
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = []
        lines.row = number
        if position.has_word and position.end > start:
            yield Trace(number, cells, start, position.end)
        start, position.has_word = position.end, words is None


def _table_in(file: BinaryIO, columns: Sequence[Column] | None) -> Table | None:
    """Return a file as a table, as its importer reads it; None if it cannot be read."""
    for each in [columns] if columns else [importer.columns for importer in kinds().values()]:
        with suppress(UnreadableFile):
            return Table(file, each)
    return None


def _separator_of(file: BinaryIO) -> str:
    file.seek(0)
    return max(SEPARATORS, key=file.readline(MAX_ROW_BYTES).decode("utf-8", "surrogateescape").count)


def _readable(cells: Collection[str]) -> list[str]:
    return [cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in cells]
