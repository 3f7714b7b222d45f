"""Streams the report and the failed rows of an import, from the file and the stored results of its rows."""

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from bulk.files.csv_cells import guard, guard_as_it_came
from bulk.importers.part import Part
from bulk.models import Import
from bulk.outcomes import ERROR
from bulk.row_results import Told, told_of

NEAR = 20_000  # rows from the top of the file
TOLD = ("row", "outcome", "code", "field", "message")


class ReportRow(NamedTuple):
    """A row with its original cells, and its result."""

    raw: list[str]
    told: Told


class Report:
    """The report of one part of an import."""

    def __init__(self, job: Import, part: Part) -> None:
        self.job = job
        self.part = part
        self.source = part.importer.source()
        self.id_column = part.importer.id_column

    def rows(self, *, outcome: str | None = None, last: int | None = None) -> Iterator[ReportRow]:
        """
        Yield the rows that have a result, in order, optionally only those with one outcome.

        With ``last``, the file is read only up to this row.
        """
        came = iter(self.source)
        for told in told_of(self.job, part=self.part.name, outcome=outcome):
            raw = told.raw
            if raw is None and last is not None and told.number > last:
                return
            if raw is None:
                raw = next(row.raw for row in came if row.number == told.number)
            yield ReportRow(raw, told)

    def near_the_top(self, outcome: str) -> Iterator[ReportRow]:
        """Yield the rows with an outcome that are near the top of the file, where they are found fast."""
        yield from self.rows(outcome=outcome, last=NEAR)

    def as_csv(self) -> Iterator[str]:
        """
        Yield the report line by line: the columns of the file, and the result of each row.

        Cells of a row beyond the header are at the end of its line, so that all columns keep their positions.
        """
        line = csv.writer(_Echo())
        header = self.source.header
        yield line.writerow(map(guard_as_it_came, [*header, *TOLD, self.id_column]))
        for raw, told in self.rows():
            own = [*raw, *[""] * (len(header) - len(raw))]
            cells = [guard(cell) for cell in (told.number or "", *_in_cells(told), told.object_id)]
            before, beyond = own[: len(header)], own[len(header) :]
            yield line.writerow([*map(guard_as_it_came, before), *cells, *map(guard_as_it_came, beyond)])

    def failed_as_csv(self) -> Iterator[str]:
        """Yield the rows with errors line by line, with their original cells, to be corrected and sent again."""
        line = csv.writer(_Echo(), delimiter=self.source.separator)
        yield line.writerow(map(guard_as_it_came, self.source.header))
        for row in self.rows(outcome=ERROR):
            yield line.writerow(map(guard_as_it_came, row.raw))

    def as_objects(self, *, outcome: str | None = None) -> Iterator[str]:
        """Yield a JSON object for each row."""
        keys = _unique(self.source.header)
        for row in self.rows(outcome=outcome):
            yield json.dumps(self._as_object(row, keys))

    def _as_object(self, row: ReportRow, keys: list[str]) -> dict[str, Any]:
        part = {"part": self.part.name} if self.part.name else {}
        errors = [{"code": code, "field": field, "message": message} for code, field, message in row.told.errors]
        return {
            **part,
            "row": row.told.number or None,
            "outcome": row.told.outcome,
            "errors": errors,
            "note": row.told.note,
            self.id_column: row.told.object_id,
            "cells": dict(zip(_with_places(keys, len(row.raw)), [*row.raw, *[""] * len(keys)], strict=False)),
        }


def _unique(header: list[str]) -> list[str]:
    """Return a key for each column: its name, with its position if the name is empty or already taken."""
    keys: dict[str, None] = {}  # in order, with fast lookup: a row may have half a million cells
    for place, name in enumerate(header, 1):
        key = name or f"column {place}"
        while key in keys:
            key = f"{key} (column {place})"
        keys[key] = None
    return list(keys)


def _with_places(keys: list[str], width: int) -> list[str]:
    """Return the keys of all cells of a row, also for cells beyond the header."""
    return keys if width <= len(keys) else _unique([*keys, *[""] * (width - len(keys))])


def _in_cells(told: Told) -> list[str]:
    """Return outcome, codes, fields and messages as cells; several values are separated by semicolons."""
    parts = [[error[place] or "" for error in told.errors] for place in range(3)]
    code, field, message = ("; ".join(filter(None, part)) for part in parts)
    return [told.outcome, code, field, message or told.note]


class _Echo:
    """A file for a CSV writer whose ``write`` returns the text."""

    def write(self, text: str) -> str:
        return text
