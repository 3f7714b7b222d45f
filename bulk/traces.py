"""
Where kept files speak of somebody: the rows that have what somebody is known by, a number or an email, as a cell.

A file is searched as bytes first, which is fast, and read as CSV only where something is found. Rows that are no valid
CSV count as about somebody whom they mention at all.
"""

import csv
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from bulk.cells import clean
from bulk.kinds import kinds
from bulk.models import UNDO, ZIP, Import, Mode, OutcomePage
from bulk.outcomes import told_of
from bulk.reading import MAX_ROW_BYTES, SEPARATORS, UnreadableFile
from bulk.storage import CHUNK_BYTES, open_kept
from bulk.zips import files_in


class Words:
    """What somebody is known by: numbers as they are spelled, emails in whatever case."""

    def __init__(self, numbers: Iterable[str], emails: Iterable[str]) -> None:
        self.numbers = frozenset(filter(None, numbers))
        self.emails = frozenset(email.lower() for email in emails if email)
        words = self.numbers | self.emails
        spellings = {spelled for word in words for spelled in (word, word.replace('"', '""'), json.dumps(word)[1:-1])}
        self.needles = [spelled.encode().lower() for spelled in spellings]
        self.longest = max(map(len, self.needles), default=0)

    def __or__(self, other: "Words") -> "Words":
        return Words(self.numbers | other.numbers, self.emails | other.emails)

    def may_be_in(self, content: bytes) -> bool:
        """Tell whether one of them stands in it, as a cell or as a part of one."""
        lowered = content.lower()
        return any(needle in lowered for needle in self.needles)

    def name(self, cells: Iterable[str]) -> bool:
        """Tell whether one of these cells is one of them."""
        return any(cell and (clean(cell) in self.numbers or clean(cell).lower() in self.emails) for cell in cells)


class Trace(NamedTuple):
    """A row about somebody, and the bytes of the file that it takes. One that is no CSV has no cells."""

    number: int
    cells: list[str]
    start: int
    end: int


class NamedRow(NamedTuple):
    """A row about somebody, with what became of it."""

    part: str
    number: int
    cells: dict[str, str]
    outcome: str = ""
    errors: list[str] = []  # a named tuple's default is never changed
    note: str = ""


class Search(NamedTuple):
    """The ids of the imports that speak of somebody, of those that could not be searched, and of the newest one."""

    named: list[int]
    unread: list[int]
    newest: int = 0


def search(words: Words, *, after: int = 0, among: Collection[int] | None = None) -> Search:
    """Search every import that is kept, the ones after an id, or some of them."""
    newest = Import.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    found = Search([], [], newest)
    jobs = Import.objects.filter(pk__gt=after, discarded_at=None).order_by("pk")
    for job in jobs.iterator() if among is None else jobs.filter(pk__in=among):
        try:
            is_named = any(_is_in(file, words) for _part, file in files_of(job)) or _is_in_pages(job, words)
        except UnreadableFile:
            found.unread.append(job.pk)
        else:
            found.named.extend([job.pk] if is_named else [])
    return found


def files_of(job: Import) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the files of an import with the names of its parts. Raise ``UnreadableFile`` for what is no zip."""
    if job.kind == UNDO or job.discarded_at:
        return
    if job.kind != ZIP:
        yield "", open_kept(job)
        return
    for stem, file in files_in(open_kept(job), job.size):
        yield part_of(stem), file


def part_of(stem: str) -> str:
    """Return the part of a zip that a file of this name is."""
    return next((kind for kind, importer in kinds().items() if stem in importer.file_names), stem)


def traces_in(file: BinaryIO, words: Words) -> Iterator[Trace]:
    """Yield the rows of a file that are about somebody, in their order."""
    return (trace for trace in _records(file, words) if not trace.cells or words.name(trace.cells))


def rows_naming(job: Import, words: Words) -> Iterator[NamedRow]:
    """Yield the rows of an import that are about somebody, with what became of them."""
    for part, file in files_of(job):
        header = next(_records(file, None)).cells
        found = {trace.number: _readable(trace.cells) for trace in traces_in(file, words)}
        if found:
            told = {each.number: each for each in told_of(job, part=part) if each.number in found}
            for number, cells in found.items():
                yield _named(part, number, dict(zip(header, cells, strict=False)), told.get(number))
    if makes_rows(job):
        for each in told_of(job):
            if each.raw and words.name(each.raw):
                yield _named("", each.number, {str(n): cell for n, cell in enumerate(each.raw, 1)}, each)


def makes_rows(job: Import) -> bool:
    """Tell whether an import has rows that stand in no file, and so are kept with their outcomes."""
    return job.kind == UNDO or job.mode == Mode.FULL


def contents_of(page: Any) -> Any:
    """Return a page of outcomes as its JSON says it."""
    return json.loads(zlib.decompress(page))


def _named(part: str, number: int, cells: dict[str, str], told: Any) -> NamedRow:
    if told is None:
        return NamedRow(part, number, cells)
    return NamedRow(part, number, cells, told.outcome, [message for _code, _field, message in told.errors], told.note)


def _is_in(file: BinaryIO, words: Words) -> bool:
    tail = b""
    while piece := file.read(CHUNK_BYTES):
        if words.may_be_in(tail + piece):
            return True
        tail = piece[-words.longest :]
    return False


def _is_in_pages(job: Import, words: Words) -> bool:
    pages = OutcomePage.objects.filter(file_import=job).values_list("content", flat=True)
    return makes_rows(job) and any(words.may_be_in(zlib.decompress(page)) for page in pages.iterator(chunk_size=10))


class _Lines:
    """The lines of a file as text, and whether one of them since the last look has a word in it."""

    def __init__(self, file: BinaryIO, words: Words | None) -> None:
        self.file = file
        self.words = words
        self.end = 0
        self.has_word = words is None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.file.readline(MAX_ROW_BYTES)
        if not line:
            raise StopIteration
        self.end += len(line)
        self.has_word = self.has_word or (self.words is not None and self.words.may_be_in(line))
        return line.decode("utf-8", "surrogateescape")


def _records(file: BinaryIO, words: Words | None) -> Iterator[Trace]:
    """Yield the rows that have a word in them somewhere, or all rows; numbered as the import's report does."""
    file.seek(0)
    first = file.readline(MAX_ROW_BYTES).decode("utf-8", "surrogateescape")
    separator = max(SEPARATORS, key=first.count)
    file.seek(0)
    lines = _Lines(file, words)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    number = start = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = []
        if lines.has_word and lines.end > start:
            yield Trace(number, cells, start, lines.end)
        start, lines.has_word = lines.end, words is None


def _readable(cells: Collection[str]) -> list[str]:
    return [cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in cells]
