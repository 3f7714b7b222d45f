"""
Importing a file: every bad row is reported, and all or nothing is applied by default.

A dry run is the real run rolled back. The whole import is one transaction, so that a process killed in the middle
leaves nothing behind.
"""

import csv
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, TextIO

import structlog
from django.db import transaction

from bulk.cells import guard, guard_as_it_came
from bulk.duplicates import FirstRows
from bulk.reading import Column, Row, Table
from school.refusals import Refusal

logger = structlog.get_logger(__name__)

CHUNK = 2_000
ERROR = "error"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row: an outcome in one word, with what more there is to say of it, or every error."""

    row: Row
    outcome: str
    object_id: int | None = None
    errors: tuple[Refusal, ...] = ()
    note: str = ""


class Importer(ABC):
    """A kind of file: its columns, and how a chunk of its rows is applied."""

    kind: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    id_column: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]  # the columns that say what a row is about

    @abstractmethod
    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        """Look up what a chunk of rows is about, and return its key for each row. ``apply`` comes next."""

    @abstractmethod
    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        """Apply well-formed rows in their order, within the caller's transaction; a result for each."""


@dataclass
class Summary:
    """What an import did, or would have done."""

    counts: Counter[str] = field(default_factory=Counter)
    applied: bool = False

    @property
    def rows(self) -> int:
        return self.counts.total()

    @property
    def errors(self) -> int:
        return self.counts[ERROR]

    @property
    def exit_code(self) -> int:
        """0 applied, 1 nothing applied, 2 applied with row errors; of a dry run, what the real run would give."""
        return 1 if not self.applied else 2 if self.errors else 0


def run_import(
    importer: Importer,
    table: Table,
    *,
    skip_errors: bool = False,
    dry_run: bool = False,
    report: TextIO | None = None,
    failed: TextIO | None = None,
    watch: Callable[[RowResult], None] = lambda result: None,
) -> Summary:
    """
    Apply a table whose every row can be read (``Table.count``) and tell what became of each row.

    ``report`` gets every row and its outcome, ``failed`` only the rows with errors, as they came. Where a row has
    errors nothing is applied, unless ``skip_errors``: then the good rows are.
    """
    summary = Summary()
    recorders = [_report_writer(report, importer, table)] if report else []
    recorders += [_failed_writer(failed, table)] if failed else []
    recorders.append(watch)  # last: it may flush what the others have written
    with closing(FirstRows()) as first_rows, transaction.atomic():
        rows = iter(table)
        while chunk := list(islice(rows, CHUNK)):
            for result in _apply(importer, chunk, first_rows):
                summary.counts[result.outcome] += 1
                for record in recorders:
                    record(result)
        good = summary.rows - summary.errors
        summary.applied = not summary.errors or (skip_errors and good > 0)
        if dry_run or not summary.applied:
            transaction.set_rollback(True)
    logger.info(
        "import_finished",
        kind=importer.kind,
        channel="import",
        dry_run=dry_run,
        applied=summary.applied and not dry_run,
        **{f"rows_{outcome}": count for outcome, count in summary.counts.items()},
    )
    return summary


def _apply(importer: Importer, rows: Sequence[Row], first_rows: FirstRows) -> Iterator[RowResult]:
    readable = [row for row in rows if not row.errors]
    objections = {
        row.number: objection
        for row, key in zip(readable, importer.keys(readable), strict=True)
        if (objection := first_rows.objection(row, key, importer.key_columns))
    }
    applied = iter(importer.apply([row for row in readable if row.number not in objections]))
    for row in rows:
        errors = (objections[row.number],) if row.number in objections else row.errors
        yield RowResult(row, ERROR, errors=errors) if errors else next(applied)


def _report_writer(stream: TextIO, importer: Importer, table: Table) -> Callable[[RowResult], None]:
    writer = csv.writer(stream)
    width = len(table.header)
    writer.writerow(
        map(guard_as_it_came, [*table.header, "row", "outcome", "code", "field", "message", importer.id_column])
    )

    def write(result: RowResult) -> None:
        came = [*result.row.raw, *[""] * width][:width]
        parts = ([getattr(error, name) or "" for error in result.errors] for name in ("code", "field", "message"))
        *told, message = ("; ".join(filter(None, part)) for part in parts)
        told.append(message or result.note)
        writer.writerow(
            [*map(guard_as_it_came, came), *map(guard, [result.row.number, result.outcome, *told, result.object_id])]
        )

    return write


def _failed_writer(stream: TextIO, table: Table) -> Callable[[RowResult], None]:
    writer = csv.writer(stream, delimiter=table.separator)
    writer.writerow(map(guard_as_it_came, table.header))

    def write(result: RowResult) -> None:
        if result.errors:
            writer.writerow(map(guard_as_it_came, result.row.raw))

    return write
