"""Shows an import on a terminal or in a pipe: progress, errors, result and exit code."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
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
from rich.table import Table

from bulk.jobs.runner import ResultCallback
from bulk.models import PROCESSING_STATES, UNDO, Import, Review, State
from bulk.outcomes import ERROR, KEPT_MANUAL, KEPT_OTHER_SOURCE, KEPT_UNCERTAIN, RowResult
from school.commands.console import escape_control_characters
from school.commands.progress import ProgressLines
from school.observability.logging import STDERR

MAX_SHOWN_ERRORS = 20
NOTICE_CODES = {KEPT_UNCERTAIN}  # the codes of problems that do not prevent an import
OUTCOME_LABELS = {
    ERROR: "with errors",
    KEPT_MANUAL: "kept: changed by a person",
    KEPT_OTHER_SOURCE: "kept: changed by another source",
    KEPT_UNCERTAIN: "kept: a row with an error may mean them",
}
STATES_OF_ROWS = {ERROR, "unchanged"}  # outcomes that are the same in a preview
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


def applied_summary(job: Import) -> str:
    """Return a sentence that says how much of an import that has ended early is applied."""
    job.refresh_from_db()
    if not job.applied_rows:
        return "Nothing was applied."
    if job.kind == UNDO:
        return f"{job.applied_rows} rows were undone. To undo the others, run manage.py undo_import {job.undoes_id}."
    return f"{job.applied_rows} rows were applied. To undo them, run manage.py undo_import {job.pk}."


def report_result(job: Import, stdout: Any, stderr: Any) -> None:
    """Show the result of an import. Return for exit code 0, else raise ``CommandError`` or ``SystemExit``."""
    if job.state in PROCESSING_STATES:
        stderr.write(f"Import {job.pk} is running in another process. See its progress with manage.py list_imports.")
        raise SystemExit(3)
    if job.state == State.CANCELLED and not (job.review == Review.DRY_RUN and job.fingerprint):
        raise CommandError(f"Import {job.pk} was cancelled. {applied_summary(job)}")
    _write_counts(job, stdout)
    if job.errors > MAX_SHOWN_ERRORS:
        stderr.write(
            f"Only the first {MAX_SHOWN_ERRORS} rows with errors are shown. Get all of them with "
            f"manage.py import_report {job.pk} --failed."
        )
    is_dry_run = job.review == Review.DRY_RUN
    applied = is_dry_run or job.state in (State.DONE, State.DONE_WITH_ERRORS)
    problems = {problem["code"]: problem["message"] for problem in job.problems}
    for code in NOTICE_CODES & problems.keys():
        stderr.write(problems.pop(code))
    if "rows_with_errors" in problems:
        raise CommandError(problems["rows_with_errors"])
    if job.state == State.FAILED:
        raise CommandError(f"{' '.join(problems.values())} {applied_summary(job)}")
    if job.state == State.NEEDS_REVIEW or "approval_needed" in problems:
        stderr.write(_approval_notice(job, " ".join(problems.values())))
        raise SystemExit(3)
    rows = job.rows or 0
    if not applied:
        raise CommandError(f"{job.errors} of {rows} rows have errors. Nothing was applied.")
    verb = "undone" if job.kind == UNDO else "applied"
    good = job.counts.get("reversed", 0) if job.kind == UNDO else rows - job.errors
    stdout.write(f"{good} of {rows} rows {'would be' if is_dry_run else 'were'} {verb}.")
    if job.errors or job.counts.get("kept"):
        raise SystemExit(2)


def _approval_notice(job: Import, reasons: str) -> str:
    if job.review == Review.DRY_RUN:
        return reasons
    share = f"{job.ending} of the {job.in_scope} enrollments in the scope would end, which is more than 10 %."
    return f"{reasons or share}\nImport {job.pk} is waiting for review: manage.py approve_import {job.pk}"


def outcome_label(job: Import, outcome: str) -> str:
    """Return an outcome in words: as something that was done, or would be done if nothing of the import is applied."""
    label = OUTCOME_LABELS.get(outcome, outcome)
    return label if outcome in STATES_OF_ROWS or job.applied_rows else f"would be {label}"


def _write_counts(job: Import, stdout: Any) -> None:
    """Show the number of rows for each outcome: a table on a terminal, plain lines elsewhere."""
    if not stdout.isatty():
        for outcome, count in sorted(job.counts.items()):
            stdout.write(f"{count:>9} {outcome_label(job, outcome)}")
        return
    table = Table(title=f"Import {job.pk}: {job.get_state_display()}", title_justify="left")
    table.add_column("outcome")
    table.add_column("rows", justify="right")
    for outcome, count in sorted(job.counts.items()):
        table.add_row(outcome_label(job, outcome), f"{count:,}", style="red" if outcome == "error" else "")
    Console().print(table)
