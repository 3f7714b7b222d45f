"""Run imports in tests as the entry points do: receive a file, then let a worker process it."""

import csv
import io
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

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


def commanded(kind: str, text: str, **options: Any) -> list[dict[str, str]]:
    """Import a file by the command; return the rows of the report."""
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "file.csv", Path(folder) / "report.csv"
        file.write_text(text)
        quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        with suppress(CommandError):
            call_command(f"import_{kind}", file, report=str(report), **quiet, **options)
        return list(csv.DictReader(report.read_text().splitlines()))


def uploaded(api: APIClient, kind: str, text: str, **options: str) -> list[dict[str, str]]:
    """Upload a file by the API and let a worker process it; return the rows of the report."""
    query = "&".join(f"{name}={value}" for name, value in {"kind": kind, **options}.items())
    address = api.post(f"/api/v1/imports?{query}", text, content_type="text/csv")["Location"]
    work()
    report: Any = api.get(f"{address}/report", headers={"Accept": "text/csv"})
    return list(csv.DictReader(b"".join(report).decode().splitlines()))


def fault_of_row(rows: list[dict[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """Return the number of the only row of a report, which has an error, and the code and the field of the error."""
    [row] = rows
    assert row["outcome"] == "error"
    return int(row["row"]), [(row["code"], row["field"])]
