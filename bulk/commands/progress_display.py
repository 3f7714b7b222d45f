"""The progress of an import: a bar on a terminal, lines in a pipe, with the rows that have errors."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bulk.jobs.import_run import ResultCallback
from bulk.models import Import
from bulk.row_results import RowResult
from school.commands.output import escape_control_characters
from school.commands.progress import ProgressLines
from school.observability.logging import STDERR

MAX_SHOWN_ERRORS = 20
LINE_INTERVAL = 10_000  # the number of rows between two lines of progress in a pipe


@contextmanager
def progress_display(job: Import, stderr: Any) -> Iterator[ResultCallback]:
    """
    Yield a function that shows the errors and the progress of an import when it is called with results.

    On a terminal the progress is a bar, in a pipe a line every ``LINE_INTERVAL`` rows or every few seconds. The bar
    is animated and shows the elapsed time until the first rows are processed. Errors and the log are written above it.
    """
    is_terminal = stderr.isatty()
    console = Console(stderr=True, force_terminal=is_terminal)
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[kind]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not is_terminal,
        transient=True,
    )

    def write_log(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def write(text: str) -> None:
        if is_terminal:
            write_log(escape_control_characters(text))
        else:
            stderr.write(text)

    rows_done = errors_shown = 0
    total: int | None = None

    def describe() -> str:
        return f"Import {job.pk}: checking the file." if total is None else f"{rows_done} of {total} rows"

    lines = ProgressLines(stderr.write, describe)
    with progress, _redirect_log(write_log) if is_terminal else lines:
        task = progress.add_task("", total=None, kind=job.kind, rate="-")

        def on_results(results: Sequence[RowResult]) -> None:
            nonlocal rows_done, errors_shown, total
            if total is None:
                total = Import.objects.values_list("rows", flat=True).get(pk=job.pk) or 0
                progress.update(task, total=total)
            failed = [result for result in results if result.errors][: MAX_SHOWN_ERRORS - errors_shown]
            errors_shown += len(failed)
            for result in failed:
                for error in result.errors:
                    row = f"row {result.row.number}" if result.is_from_file else "not in the file"
                    location = row + (f", {error.field}" if error.field else "")
                    write(f"{location}: {error.code}: {error.message}")
            rows_before, rows_done = rows_done, rows_done + sum(result.is_from_file for result in results)
            elapsed = progress.tasks[0].elapsed
            progress.update(task, completed=rows_done, rate=f"{rows_done / elapsed:,.0f}" if elapsed else "-")
            if rows_done // LINE_INTERVAL > rows_before // LINE_INTERVAL and not is_terminal:
                lines.write(describe())

        yield on_results


class _LogHandler(logging.Handler):
    """Formats log records as another handler does, and writes them above the bar."""

    def __init__(self, other: logging.Handler, write: Callable[[str], None]) -> None:
        super().__init__(other.level)
        self.setFormatter(other.formatter)
        self.write = write

    def emit(self, record: logging.LogRecord) -> None:
        self.write(self.format(record))


@contextmanager
def _redirect_log(write: Callable[[str], None]) -> Iterator[None]:
    """Write the log with ``write`` instead of to standard error, where a log line would break the bar."""
    handlers = [handler for handler in logging.root.handlers if handler.name == STDERR]
    replacements = [_LogHandler(handler, write) for handler in handlers]
    for old, new in zip(handlers, replacements, strict=True):
        logging.root.removeHandler(old)
        logging.root.addHandler(new)
    try:
        yield
    finally:
        for old, new in zip(handlers, replacements, strict=True):
            logging.root.removeHandler(new)
            logging.root.addHandler(old)
