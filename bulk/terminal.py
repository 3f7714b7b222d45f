"""Imports on a terminal: a bar with rate and remaining time, or plain lines in a pipe; and what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bulk.importing import RowResult
from bulk.models import UNDO, Import, Review, State
from bulk.running import Watch

SHOWN_ERRORS = 20
EVERY = 10_000


@contextmanager
def watching(job: Import, stderr: Any) -> Iterator[Watch]:
    """Show errors as they come, and progress: a bar on a terminal, a line now and then in a pipe."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.fields[kind]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=None, kind=job.kind, rate="-")
        seen = shown = 0
        total: int | None = None

        def watch(results: Sequence[RowResult]) -> None:
            nonlocal seen, shown, total
            if total is None:
                total = Import.objects.values_list("rows", flat=True).get(pk=job.pk) or 0
                progress.update(task, total=total)
            failed = [result for result in results if result.errors][: SHOWN_ERRORS - shown]
            shown += len(failed)
            for result in failed:
                for error in result.errors:
                    place = f"row {result.row.number}" + (f", {error.field}" if error.field else "")
                    stderr.write(f"{place}: {error.code}: {error.message}")
            was_seen, seen = seen, seen + len(results)
            speed = progress.tasks[0].speed
            progress.update(task, completed=seen, rate=f"{speed:,.0f}" if speed else "-")
            if seen >= total:
                progress.stop()  # before anything is logged into its line
            if seen // EVERY > was_seen // EVERY and not console.is_terminal:
                stderr.write(f"{seen} of {total} rows")

        yield watch


def conclude(job: Import, stdout: Any, stderr: Any) -> None:
    """Say what became of an import, and leave with its exit code: 0, or by ``CommandError`` and ``SystemExit``."""
    _show_counts(job, stdout)
    if job.errors > SHOWN_ERRORS:
        stderr.write(f"The first {SHOWN_ERRORS} rows with errors are shown, --report has all of them.")
    rows, applied = sum(job.counts.values()), job.state in (State.DONE, State.DONE_WITH_ERRORS)
    is_dry_run = job.review == Review.DRY_RUN
    would, were = ("would be", "would be") if is_dry_run else ("was", "were")
    if job.problems and not job.counts.get("error"):
        why = " ".join(problem["message"] for problem in job.problems)
        if job.state == State.FAILED:
            raise CommandError(f"{why} Nothing was applied.")
    if is_dry_run:
        applied = not job.errors or (job.on_error == "skip" and job.errors < rows)
    if job.state == State.NEEDS_REVIEW:
        stderr.write(_waits(job))
        raise SystemExit(3)
    if not applied:
        raise CommandError(f"{job.errors} of {rows} rows have errors: nothing {would} applied.")
    verb = "taken back" if job.kind == UNDO else "applied"
    good = job.counts.get("reversed", 0) if job.kind == UNDO else rows - job.errors
    stdout.write(f"{good} of {rows} rows {were} {verb}.")
    if job.errors or job.counts.get("kept"):
        raise SystemExit(2)


def _waits(job: Import) -> str:
    share = f"{job.ending} of the {job.in_scope} in its scope would end"
    changed = " ".join(problem["message"] for problem in job.problems)
    why = changed or f"{share}, which is more than 10 %"
    return f"Import {job.pk} waits for approval: {why}. manage.py approve_import {job.pk} applies it."


def _show_counts(job: Import, stdout: Any) -> None:
    """Show how many rows had which outcome: a table on a terminal, plain lines elsewhere."""
    if not stdout.isatty():
        for outcome, count in sorted(job.counts.items()):
            stdout.write(f"{count:>9} {outcome}")
        return
    table = Table(title=f"Import {job.pk}: {job.get_state_display()}", title_justify="left")
    table.add_column("outcome")
    table.add_column("rows", justify="right")
    for outcome, count in sorted(job.counts.items()):
        table.add_row(outcome, f"{count:,}", style="red" if outcome == "error" else "")
    Console().print(table)
