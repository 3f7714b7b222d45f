"""Run imports in tests as the entry points do: receive a file, then let a worker process it."""

import io
from typing import Any
from unittest import mock

from django.core.management import call_command

from bulk.importers.import_parts import parts_of
from bulk.jobs.processing import process_import
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel
from bulk.reports import Report

ENROLLMENTS = "student_number,course_code,term,status,grade,reason\n"


def work() -> None:
    """Let a worker process all waiting imports, on the connection of the test's transaction."""
    with mock.patch("bulk.jobs.worker.close_old_connections"):
        call_command("work", once=True)


def imported(text: str, *, kind: str = "enrollments", **wish: Any) -> Import:
    """Receive a file and process it until its end or its review."""
    order = ImportRequest(**{"kind": kind, "channel": ImportChannel.API, "request_id": "r", "review": "needed", **wish})
    job = submit(io.BytesIO(text.encode()), order)
    return worked_on(job)


def worked_on(job: Import) -> Import:
    process_import(job.pk)
    return Import.objects.get(pk=job.pk)


def outcomes(job: Import) -> list[tuple[int, str, list[str]]]:
    """Return for each row its number, the outcome and the codes."""
    [part] = parts_of(job)
    return [(told.number, told.outcome, [error[0] for error in told.errors]) for _raw, told in Report(job, part).rows()]


def without_parts(notes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the problems or warnings of an import without the parts from which their messages are translated."""
    return [{name: note[name] for name in ("code", "field", "message")} for note in notes]
