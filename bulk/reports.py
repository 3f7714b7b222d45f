"""The report and the failed rows of an import, as streams: made from the file and from what is kept of its rows."""

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from bulk.cells import guard, guard_as_it_came
from bulk.importing import ERROR
from bulk.models import Import
from bulk.outcomes import Told, told_of
from bulk.running import Part

NEAR = 20_000  # rows
TOLD = ("row", "outcome", "code", "field", "message")


class ReportRow(NamedTuple):
    """A row as it came, and what became of it."""

    raw: list[str]
    told: Told


class Report:
    """What became of one part of an import."""

    def __init__(self, job: Import, part: Part) -> None:
        self.job = job
        self.part = part
        self.source = part.importer.source()
        self.id_column = part.importer.id_column

    def rows(self, *, outcome: str | None = None, last: int | None = None) -> Iterator[ReportRow]:
        """
        Yield the rows that something is known of, in their order; only those of one outcome if asked.

        With ``last`` the file is read up to this row only.
        """
        came = iter(self.source)
        width = len(self.source.header)
        for told in told_of(self.job, part=self.part.name, outcome=outcome):
            raw = told.raw
            if raw is None and last is not None and told.number > last:
                return
            if raw is None:
                raw = next(row.raw for row in came if row.number == told.number)
            yield ReportRow([*raw, *[""] * width][:width], told)

    def near_the_top(self, outcome: str) -> Iterator[ReportRow]:
        """Yield the rows of an outcome as far as they stand where looking for them takes no time."""
        yield from self.rows(outcome=outcome, last=NEAR)

    def as_csv(self) -> Iterator[str]:
        """Yield the report line by line: the columns of the file, and what became of each row."""
        line = csv.writer(_Echo())
        yield line.writerow(map(guard_as_it_came, [*self.source.header, *TOLD, self.id_column]))
        for raw, told in self.rows():
            cells = [guard(cell) for cell in (told.number or "", *_in_cells(told), told.object_id)]
            yield line.writerow([*map(guard_as_it_came, raw), *cells])

    def failed_as_csv(self) -> Iterator[str]:
        """Yield the rows with errors line by line, as they came: to be mended and sent again."""
        line = csv.writer(_Echo(), delimiter=self.source.separator)
        yield line.writerow(map(guard_as_it_came, self.source.header))
        for row in self.rows(outcome=ERROR):
            yield line.writerow(map(guard_as_it_came, row.raw))

    def as_objects(self, *, outcome: str | None = None) -> Iterator[str]:
        """Yield a JSON object for each row."""
        for row in self.rows(outcome=outcome):
            yield json.dumps(self._as_object(row))

    def _as_object(self, row: ReportRow) -> dict[str, Any]:
        part = {"part": self.part.name} if self.part.name else {}
        errors = [{"code": code, "field": field, "message": message} for code, field, message in row.told.errors]
        return {
            **part,
            "row": row.told.number or None,
            "outcome": row.told.outcome,
            "errors": errors,
            "note": row.told.note,
            self.id_column: row.told.object_id,
            "cells": dict(zip(self.source.header, row.raw, strict=True)),
        }


def _in_cells(told: Told) -> list[str]:
    """Return outcome, codes, fields and messages, several of them parted by semicolons."""
    parts = [[error[place] or "" for error in told.errors] for place in range(3)]
    code, field, message = ("; ".join(filter(None, part)) for part in parts)
    return [told.outcome, code, field, message or told.note]


class _Echo:
    """A file for a CSV writer that hands back what is written."""

    def write(self, text: str) -> str:
        return text
