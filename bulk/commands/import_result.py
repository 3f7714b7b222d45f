"""The result of an import on a terminal or in a pipe, and the exit code that follows from it."""

from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from bulk.commands.progress_display import MAX_SHOWN_ERRORS
from bulk.models import PROCESSING_STATES, UNDO, Import, Review, State
from bulk.row_results import ERROR, KEPT_MANUAL, KEPT_OTHER_SOURCE, KEPT_UNCERTAIN, UNCHANGED

NOTICE_CODES = {KEPT_UNCERTAIN}  # the codes of problems that do not prevent an import


OUTCOME_LABELS = {
    ERROR: "with errors",
    KEPT_MANUAL: "kept: changed by a person",
    KEPT_OTHER_SOURCE: "kept: changed by another source",
    KEPT_UNCERTAIN: "kept: a row with an error may mean them",
}


STATES_OF_ROWS = {ERROR, UNCHANGED}  # outcomes that are the same in a preview


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
