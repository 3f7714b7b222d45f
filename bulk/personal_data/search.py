"""
Searches stored files for the rows about a person: a cell is a number or an email of the person, or mentions one.

A file is first searched as text, which is fast, and is parsed as CSV only if the text matches. It is parsed as the
importer of its kind does it. In addition, the pieces between all possible separators are compared: a row is also found
if a person would read other cells than the importer. A row that is not valid CSV is about every person that it
mentions.
"""

import codecs
import csv
import json
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from bulk.files.cell_text import clean
from bulk.files.csv_reader import SEPARATORS, Column, Table, UnreadableFile
from bulk.files.text_lines import MAX_ROW_BYTES, TextLines
from bulk.files.zip_reader import has_comments, read_zip
from bulk.import_file_store import CHUNK_BYTES, open_stored
from bulk.importers.import_parts import parts_of
from bulk.importers.registry import importer_classes
from bulk.models import UNDO, ZIP, Import, Mode, OutcomePage
from bulk.personal_data.identifiers import Identifiers
from bulk.roster_zips.manifest import MANIFEST, MANIFEST_COLUMNS
from bulk.row_result_store import stored_results

# A text is searched in blocks. The end of a block is searched again with the next block: this number of characters for
# each byte of the longest spelling, because a letter may be composed of several characters.
OVERLAP = 8
_SEPARATORS = re.compile(r'[,;\t|"\r\n]+')


class RowMatch(NamedTuple):
    """A row about a person, with its range of bytes in the file. A row that is not valid CSV has no cells."""

    number: int
    cells: list[str]
    start: int
    end: int


class PersonRow(NamedTuple):
    """A row about a person, with its outcome."""

    part: str
    number: int
    cells: dict[str, str]
    outcome: str = ""
    errors: list[str] = []  # the default of a named tuple is never changed
    note: str = ""


class SearchResult(NamedTuple):
    """
    The ids of the imports that name or may name a person, of those that cannot be searched, and of the newest import.

    A zip that contains other data than the files of the import may name any person.
    """

    matches: list[int]
    unsearchable: list[int]
    newest_id: int = 0


def search(identifiers: Identifiers, *, after: int = 0, import_ids: Collection[int] | None = None) -> SearchResult:
    """Search the imports with an id greater than ``after`` for a person; only those in ``import_ids``, if given."""
    newest_id = Import.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    result = SearchResult([], [], newest_id)
    jobs = Import.objects.filter(pk__gt=after).order_by("pk")
    for job in jobs.iterator() if import_ids is None else jobs.filter(pk__in=import_ids):
        try:
            is_named = (
                _is_in_files(job, identifiers) or _is_in_pages(job, identifiers) or is_in_import_texts(job, identifiers)
            )
        except UnreadableFile:
            result.unsearchable.append(job.pk)
        else:
            result.matches.extend([job.pk] if is_named else [])
    return result


class StoredFile(NamedTuple):
    """
    A file of an import. ``name`` is its name in a zip, ``columns`` is None for a file that no importer reads.

    ``part`` is empty for a file in a zip whose rows are not applied.
    """

    part: str
    content: BinaryIO
    columns: Sequence[Column] | None
    name: str = ""


def stored_files(job: Import) -> Iterator[StoredFile]:
    """Yield the stored files of an import. Raise ``UnreadableFile`` for an unreadable zip."""
    if job.kind == UNDO or job.discarded_at:
        return
    if job.kind != ZIP:
        importer = importer_classes().get(job.kind)
        yield StoredFile("", open_stored(job), importer.columns if importer else None)
        return
    lookup_columns = {
        name: columns for each in importer_classes().values() for name, columns in each.lookup_columns.items()
    }
    lookup_columns[MANIFEST] = MANIFEST_COLUMNS
    applied = _applied_in_zip(job)
    for table in read_zip(open_stored(job), job.size).tables:
        importer = importer_classes().get(part_name(table.stem))
        columns = importer.columns if importer else lookup_columns.get(table.stem)
        yield StoredFile(applied.get(table.name, ""), table.content, columns, table.name)


def _applied_in_zip(job: Import) -> dict[str, str]:
    """Return the parts of a zip by the names of their files; empty for a zip that cannot be imported."""
    with suppress(UnreadableFile):
        return {part.importer.file_name: part.name for part in parts_of(job)}
    return {}


def is_in_import_texts(job: Import, identifiers: Identifiers) -> bool:
    """True if a text of the import itself names a person: file name, dataset, options, problems or warnings."""
    texts = " ".join([job.file_name, job.dataset, *map(str, job.options.values())])
    return bool(identifiers.find_mention(texts)) or identifiers.may_occur_in(as_text([job.problems, job.warnings]))


def part_name(stem: str) -> str:
    """Return the part of a zip for the stem of a file's name: a kind, or the stem itself for any other file."""
    return next((kind for kind, importer in importer_classes().items() if stem in importer.file_names), stem)


def matching_rows(
    file: BinaryIO, identifiers: Identifiers, columns: Sequence[Column] | None = None
) -> Iterator[RowMatch]:
    """
    Yield the rows of a file that are about a person, in order.

    ``columns`` are the columns of the file's kind; without them, the file is read as the first kind that can read it.
    """
    return (
        row
        for row in _candidate_rows(file, identifiers, columns)
        if not row.cells or identifiers.occurs_in_cells(_split_cells(row.cells))
    )


def _split_cells(cells: Collection[str]) -> Iterator[str]:
    yield from chain(cells, chain.from_iterable(map(_SEPARATORS.split, cells)))
    yield ";".join(cells)  # compared without semicolons, because a semicolon may have split an HTML character reference


def person_rows(job: Import, identifiers: Identifiers) -> Iterator[PersonRow]:
    """Yield the rows of an import that are about a person, with their outcomes."""
    for part, file, columns, _name in stored_files(job):
        header = next((each.cells for each in _candidate_rows(file, None, columns) if any(map(clean, each.cells))), [])
        rows = {row.number: _printable(row.cells) for row in matching_rows(file, identifiers, columns)}
        if rows:
            results = {each.number: each for each in stored_results(job, part=part) if each.number in rows}
            for number, cells in rows.items():
                yield _person_row(part, number, dict(zip(header, cells, strict=False)), results.get(number))
    if has_synthetic_rows(job):
        for each in stored_results(job):
            if each.raw and identifiers.occurs_in_cells(each.raw):
                yield _person_row("", each.number, {str(n): cell for n, cell in enumerate(each.raw, 1)}, each)


def has_synthetic_rows(job: Import) -> bool:
    """Return True if an import has rows that are in no file; their cells are stored with their outcomes."""
    return job.kind == UNDO or job.mode == Mode.FULL


def unpack_page(page: Any) -> Any:
    """Return the stored content of a page of outcomes as the values of its JSON."""
    return json.loads(zlib.decompress(page))


def _person_row(part: str, number: int, cells: dict[str, str], result: Any) -> PersonRow:
    if result is None:
        return PersonRow(part, number, cells)
    return PersonRow(
        part, number, cells, result.outcome, [message for _code, _field, message in result.errors], result.note
    )


def _is_in_files(job: Import, identifiers: Identifiers) -> bool:
    """True if a file may name a person; raise ``UnreadableFile`` for a file that is not text and cannot be searched."""
    files = list(stored_files(job))
    if job.kind == ZIP and not job.discarded_at:
        contents = read_zip(open_stored(job), job.size)
        is_searchable = all(file.columns for file in files) and not contents.other_files and not contents.system_files
        names = " ".join(file.name for file in files)
        if not is_searchable or has_comments(open_stored(job), job.size) or identifiers.find_mention(names):
            return True
    # Do not stop at the first match, because each file has to be read to see whether it is text.
    return sum(_is_in_file(file.content, identifiers) for file in files) > 0


def _is_in_file(file: BinaryIO, identifiers: Identifiers) -> bool:
    is_found, tail, decoder = False, "", codecs.getincrementaldecoder("utf-8")()
    while True:
        block = file.read(CHUNK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            raise UnreadableFile("not_utf8", "") from None
        if "\0" in text:
            raise UnreadableFile("not_text", "")
        is_found = is_found or identifiers.may_occur_in(tail + text)
        if not block:
            return is_found
        tail = text[-OVERLAP * identifiers.longest :]


def _is_in_pages(job: Import, identifiers: Identifiers) -> bool:
    pages = OutcomePage.objects.filter(file_import=job).values_list("content", flat=True)
    return any(identifiers.may_occur_in(as_text(unpack_page(page))) for page in pages.iterator(chunk_size=10))


def as_text(values: Any) -> str:
    """Return JSON values as a text without escapes for characters outside ASCII."""
    return json.dumps(values, ensure_ascii=False)


class _LinePosition:
    """The position of the reader in a file, in bytes, and whether a line since the last row has an identifier in it."""

    def __init__(self, identifiers: Identifiers | None) -> None:
        self.identifiers = identifiers
        self.end = 0
        self.has_match = identifiers is None

    def advance(self, line: str) -> None:
        content = line.encode("utf-8", "surrogateescape")
        self.end += len(content)
        self.has_match = self.has_match or (self.identifiers is not None and self.identifiers.may_occur_in(content))


def _candidate_rows(
    file: BinaryIO, identifiers: Identifiers | None, columns: Sequence[Column] | None
) -> Iterator[RowMatch]:
    """Yield the rows that contain an identifier, or all rows; they are numbered as in the import's report."""
    table = _table_in(file, columns)
    position = _LinePosition(identifiers)
    lines = TextLines(file, table.separator if table else _separator_of(file), position.advance)
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
        if position.has_match and position.end > start:
            yield RowMatch(number, cells, start, position.end)
        start, position.has_match = position.end, identifiers is None


def _table_in(file: BinaryIO, columns: Sequence[Column] | None) -> Table | None:
    """Return a file as a table, as its importer reads it; None if it cannot be read."""
    for each in [columns] if columns else [importer.columns for importer in importer_classes().values()]:
        with suppress(UnreadableFile):
            return Table(file, each)
    return None


def _separator_of(file: BinaryIO) -> str:
    file.seek(0)
    return max(SEPARATORS, key=file.readline(MAX_ROW_BYTES).decode("utf-8", "surrogateescape").count)


def _printable(cells: Collection[str]) -> list[str]:
    return [cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in cells]
