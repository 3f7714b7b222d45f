"""The table of the rows of an import on its page: row number, cells, the faulty cells, and the message."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

from django.core.paginator import Page, Paginator

from bulk.files.csv_reader import MAX_COLUMNS, UnreadableFile
from bulk.importers.import_parts import ImportPart, parts_of
from bulk.models import Import
from bulk.reports import MAX_PREVIEW_ROW, Report
from bulk.row_result_store import StoredResult, counts_by_part, results_from
from bulk.row_results import ERROR, KEPT
from bulk.translated_labels import translated_label
from school.i18n.stored_messages import translate_stored
from school.refusals import shorten

ROWS_PER_PAGE = 100
MAX_CELL_LENGTH = 100  # characters of a cell
SHOWN_FIRST = (ERROR, KEPT)  # the outcomes with which the page opens, if there are such rows


@dataclass(frozen=True, slots=True)
class Cell:
    name: str
    text: str
    is_faulty: bool = False


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row; ``number`` is the one in the file, 0 for an object that no row is about."""

    number: int
    outcome: str
    label: str
    cells: list[Cell]
    errors: list[tuple[str, str | None, str]]
    note: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A link of the page: to the rows with one outcome, or to another file of a zip."""

    value: str
    label: str
    count: int
    is_chosen: bool


class RowTable:
    """The rows of one part of an import, with one outcome or with any, page by page."""

    def __init__(self, job: Import, parts: list[ImportPart], part_name: str, outcome: str | None, page: Any) -> None:
        counts = defaultdict(Counter, counts_by_part(job))
        self.part = next((part for part in parts if part.name == part_name), None) or next(
            (part for part in parts if counts[part.name][ERROR]), parts[0]
        )
        of_part = counts[self.part.name]
        self.report = Report(job, self.part)
        self.header = _truncated(self.report.source.header)
        if outcome is None or (outcome and outcome not in of_part):
            outcome = next((name for name in SHOWN_FIRST if of_part.get(name)), "")
        self.outcome = outcome
        self.parts = [
            Choice(part.name, translated_label(part.name), sum(counts[part.name].values()), part is self.part)
            for part in parts
        ]
        self.errors_by_part = [(part.name, counts[part.name][ERROR]) for part in parts]
        names = sorted(of_part, key=lambda name: (name not in SHOWN_FIRST, name))
        self.outcomes = [Choice("", "", sum(of_part.values()), outcome == "")] if len(names) > 1 else []
        self.outcomes += [
            Choice(name, translated_label(name), of_part[name], outcome == name or len(names) == 1) for name in names
        ]
        number = of_part.get(outcome, 0) if outcome else sum(of_part.values())
        self.page: Page[Any] = Paginator(range(number), ROWS_PER_PAGE).get_page(page)

    @property
    def rows(self) -> list[PreviewRow]:
        """The rows of the page. The cells of a row are read from the file if the row is near its top."""
        job, start = self.report.job, max(self.page.start_index() - 1, 0)
        results = list(
            islice(results_from(job, start, part=self.report.part.name, outcome=self.outcome), ROWS_PER_PAGE)
        )
        raw = self._cells({result.number for result in results if result.raw is None})
        return [self._row(result, result.raw or raw.get(result.number, [])) for result in results]

    def _cells(self, numbers: set[int]) -> dict[int, list[str]]:
        cells = {}
        wanted = {number for number in numbers if number <= MAX_PREVIEW_ROW}
        for row in iter(self.report.source) if wanted else ():
            if row.number in wanted:
                cells[row.number] = row.raw
            if row.number >= max(wanted):
                break
        return cells

    def _row(self, result: StoredResult, raw: list[str]) -> PreviewRow:
        names: list[str | None] = getattr(self.report.source, "names", [])
        faulty = {field for _code, field, _message in result.errors}
        texts = _truncated(raw + [""] * (len(self.header) - len(raw))) if raw else []
        columns = zip_longest(self.header, names, texts, fillvalue=None)
        cells = [
            Cell(title or "", text, bool(name) and name in faulty) for title, name, text in columns if text is not None
        ]
        errors = [(code, field, translate_stored(message)) for code, field, message in result.errors]
        label = translated_label(result.outcome)
        return PreviewRow(result.number, result.outcome, label, cells, errors, translate_stored(result.note))


def row_table(job: Import, part_name: str, outcome: str | None, page: Any) -> RowTable | None:
    """Return the table of an import's rows; None if the file cannot be read or is no longer stored."""
    try:
        parts = parts_of(job)
        return RowTable(job, parts, part_name, outcome, page) if parts else None
    except UnreadableFile:
        return None


def _truncated(cells: list[str]) -> list[str]:
    """Return the cells of a row, cut for the page: a row may have half a million cells, or one of 100 kB."""
    return [shorten(cell, MAX_CELL_LENGTH) for cell in cells[:MAX_COLUMNS]]
