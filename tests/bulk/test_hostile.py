"""Malicious files, and files damaged by accident."""

import time
import tracemalloc

import pytest

from bulk.importers import import_parts
from bulk.importers.import_parts import parts_of
from bulk.models import State
from bulk.reports import Report
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def world():
    make_course(code="M-1")
    make_student(student_number="S-1")


@pytest.mark.parametrize(("columns", "state"), [(200, State.DONE), (201, State.FAILED), (100_000, State.FAILED)])
def test_a_header_of_more_than_200_columns_is_refused_quickly(columns, state):
    names = ["student_number", "course_code", *(f"c{n}" for n in range(columns - 2))]
    text = ",".join(names) + "\n" + ",".join(["S-1", "M-1", *["x"] * (columns - 2)]) + "\n"
    started = time.process_time()

    job = imported(text)

    assert (job.state, [problem["code"] for problem in job.problems]) == (
        state,
        ["too_many_columns"] if state == State.FAILED else [],
    )
    assert time.process_time() - started < 5


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '"\t=1"'])
def test_formulas_are_escaped_in_the_report_and_in_the_failed_rows(cell):
    job = imported(f"student_number,course_code,note\nS-9,M-1,{cell}\n")

    [part] = parts_of(job)
    for lines in (Report.as_csv, Report.failed_as_csv):
        last = "".join(lines(Report(job, part))).splitlines()[-1]
        assert last.split(",")[2].lstrip('"').startswith("'")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"),
        ("\ufeff\n", "empty_file"),
        (ENROLLMENTS + '"S-1,M-1', "malformed_csv"),
        (ENROLLMENTS + "S-1,M\0-1,,,,\n", "not_text"),
        (ENROLLMENTS + "x" * 1_000_001, "row_too_long"),
        ("student_number,student_number,course_code\n", "duplicate_column"),
    ],
)
def test_an_unreadable_file_is_reported_and_changes_nothing(text, code):
    job = imported(text, on_error="skip")

    assert (job.state, job.problems[0]["code"]) == (State.FAILED, code)


def test_all_errors_of_a_row_are_reported():
    job = imported(ENROLLMENTS + f"S-9,M-9,2099F,asleep,{'A' * 40},{'r' * 1001}\n")

    assert outcomes(job)[0][2] == [
        "student_not_found",
        "course_not_found",
        "invalid_choice",
        "max_length",
        "max_length",
    ]


def test_memory_use_does_not_depend_on_the_file_size(monkeypatch):
    monkeypatch.setattr(import_parts, "CHUNK_SIZE", 2_000)  # which limits it, and would accept a longer file

    def peak(rows):
        text = ENROLLMENTS + "S-1,M-1,,,,\n" * rows
        tracemalloc.start()
        job = imported(text, again=True, dataset=str(rows))
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sum(job.counts.values()) == rows
        return most - 3 * len(text)  # the test's own copies of it

    peak(4_000)

    assert peak(24_000) < peak(8_000) + 2_000_000
