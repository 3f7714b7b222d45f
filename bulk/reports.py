"""Streams the report and the failed rows of an import, from the file and the stored results of its rows."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from bulk.files.cell_text import escape_formulas, escape_original_cell
from bulk.files.csv_lines import line_writer
from bulk.importers.import_parts import ImportPart
from bulk.models import Import
from bulk.row_result_store import StoredResult, stored_results
from bulk.row_results import ERROR

MAX_PREVIEW_ROW = 20_000  # the number of rows at the top of the file that are searched
RESULT_COLUMNS = ("row", "outcome", "code", "field", "message")


class ReportRow(NamedTuple):
    """A row with its original cells, and its result."""

    raw: list[str]
    result: StoredResult


class Report:
    """The report of one part of an import."""

    def __init__(self, job: Import, part: ImportPart) -> None:
        self.job = job
        self.part = part
        self.source = part.importer.source()
        self.id_column = part.importer.id_column

    def rows(self, *, outcome: str | None = None) -> Iterator[ReportRow]:
        """Yield the rows that have a result, in order, optionally only those with one outcome."""
        source_rows = iter(self.source)
        for result in stored_results(self.job, part=self.part.name, outcome=outcome):
            raw = result.raw
            if raw is None:
                raw = next(row.raw for row in source_rows if row.number == result.number)
            yield ReportRow(raw, result)

    def as_csv(self) -> Iterator[str]:
        """
        Yield the report line by line: the columns of the file, and the result of each row.

        Cells of a row beyond the header are at the end of its line, so that all columns keep their positions.
        """
        writer = line_writer()
        header = self.source.header
        yield writer.writerow(map(escape_original_cell, [*header, *RESULT_COLUMNS, self.id_column]))
        for raw, result in self.rows():
            padded = [*raw, *[""] * (len(header) - len(raw))]
            cells = [escape_formulas(cell) for cell in (result.number or "", *_result_cells(result), result.object_id)]
            in_header, beyond_header = padded[: len(header)], padded[len(header) :]
            yield writer.writerow(
                [*map(escape_original_cell, in_header), *cells, *map(escape_original_cell, beyond_header)]
            )

    def failed_as_csv(self) -> Iterator[str]:
        """Yield the rows with errors line by line, with their original cells, to be corrected and sent again."""
        writer = line_writer(delimiter=self.source.separator)
        yield writer.writerow(map(escape_original_cell, self.source.header))
        for row in self.rows(outcome=ERROR):
            yield writer.writerow(map(escape_original_cell, row.raw))

    def as_json_rows(self, *, outcome: str | None = None) -> Iterator[str]:
        """Yield a JSON object for each row."""
        keys = _unique_keys(self.source.header)
        for row in self.rows(outcome=outcome):
            yield json.dumps(self._json_row(row, keys))

    def _json_row(self, row: ReportRow, keys: list[str]) -> dict[str, Any]:
        part = {"part": self.part.name} if self.part.name else {}
        errors = [{"code": code, "field": field, "message": message} for code, field, message in row.result.errors]
        return {
            **part,
            "row": row.result.number or None,
            "outcome": row.result.outcome,
            "errors": errors,
            "note": row.result.note,
            self.id_column: row.result.object_id,
            "cells": dict(zip(_keys_for_width(keys, len(row.raw)), [*row.raw, *[""] * len(keys)], strict=False)),
        }


def _unique_keys(header: list[str]) -> list[str]:
    """Return a key for each column: its name, with its position if the name is empty or already taken."""
    keys: dict[str, None] = {}  # a dict keeps the order and is fast to search, as a row may have half a million cells
    for position, name in enumerate(header, 1):
        key = name or f"column {position}"
        while key in keys:
            key = f"{key} (column {position})"
        keys[key] = None
    return list(keys)


def _keys_for_width(keys: list[str], width: int) -> list[str]:
    """Return the keys of all cells of a row, including the cells beyond the header."""
    return keys if width <= len(keys) else _unique_keys([*keys, *[""] * (width - len(keys))])


def _result_cells(result: StoredResult) -> list[str]:
    """Return outcome, codes, fields and messages as cells; several values are separated by semicolons."""
    parts = [[error[position] or "" for error in result.errors] for position in range(3)]
    code, field, message = ("; ".join(filter(None, part)) for part in parts)
    return [result.outcome, code, field, message or result.note]
