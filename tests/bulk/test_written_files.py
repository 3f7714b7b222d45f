"""
Files in human notations: every row is applied with its meaning, or is reported with its number.

A file is made from rows with a known meaning, which are then written in a random notation. The test compares the report
of the import and the database with the meaning.
"""

import io
from dataclasses import dataclass, field

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk.importers.import_parts import parts_of
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel, State
from bulk.reports import Report
from bulk.row_results import ERROR
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import worked_on
from tools.fuzz import examples

pytestmark = pytest.mark.django_db

NAMES = [
    "Ann",
    "Zoë",
    "O'Brien",
    "King, Jr.",
    'Robert "Bob"',
    "van; Berg",
    "'t Hooft",
    "李",
    "De La Cruz",
    "Email",
    "-Li",
]
NUMBERS = ["S-1", "00123", "7", "B.2", "S 9", "ÄB-1", "x_1", "0", "N'4", "+5"]
ENROLLED = [f"{number}e" for number in NUMBERS]  # existing students
COURSES = ["MATH-101", "0101", "Bio 2", "X'1"]
INVISIBLE = ["", "", "", " ", "  ", "\u00a0", "\u200b", "\ufeff"]
NOTES = ["", "", "seen", "two\nlines", "a, b; c\td", 'he said "no"', "=1+1", "é"]
LINE_ENDS = [["\n"], ["\r\n"], ["\r"], ["\r\r\n"], ["\n", "\r\n"], ["\n", "\r\n", "\r"]]
SPELLED = {
    "student_number": [
        "student_number",
        "Student Number",
        "STUDENT-NUMBER",
        "studentNumber",
        "user_id",
        "Student\nNumber",
    ],
    "given_name": ["given_name", "Given Name", "first-name", "givenName"],
    "family_name": ["family_name", "Family  Name", "LAST_NAME", "familyName"],
    "email": ["email", "E-Mail", " Email "],
    "course_code": ["course_code", "Course Code", "course-id"],
    "status": ["status", "Status", "STATUS "],
}


@dataclass
class ExpectedFile:
    """A file and its meaning: the rows to be applied by number, the rows to be refused, and a fault of the file."""

    kind: str
    content: bytes = b""
    rows: dict[int, dict[str, str]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    is_refused: bool = False


class FileWriter:
    """Writes the rows of a file in one of many notations."""

    def __init__(self, draw, separator):
        self.draw = draw
        self.separator = separator
        self.ends = draw(st.sampled_from(LINE_ENDS))
        self.text = ""
        self.number = 0

    def choose(self, choices):
        return self.draw(st.sampled_from(choices))

    def happens(self, one_in=6):
        return self.draw(st.integers(1, one_in)) == 1

    def line(self, text):
        """Write a record; return its row number."""
        end = self.choose(self.ends)
        if not text and self.text.endswith("\r"):
            end = "\r"  # an LF would belong to the CR before it
        self.text += text + end
        self.number += 1
        return self.number

    def blanks(self):
        blank = self.choose(INVISIBLE)
        return "" if blank == self.separator else blank

    def quoted(self, text):
        return '"' + text.replace('"', '""') + '"'

    def cell(self, text):
        style = self.draw(st.integers(0, 9))
        if style == 0 and text and "\n" not in text:
            text = '="' + text.replace('"', '""') + '"'
        elif (style == 1 and text[:1].isdigit()) or (text.startswith(("=", "-", "+", "@")) and style < 5):
            text = f"'{text}"
        needs_quotes = any(mark in text for mark in f'"\r\n{self.separator}') and not text.startswith('="0')
        if needs_quotes or style in (2, 3):
            return f"{self.blanks()}{self.quoted(text)}{self.blanks()}"
        return f"{self.blanks()}{text}{self.blanks()}"

    def row(self, cells):
        return self.line(self.separator.join(map(self.cell, cells)))

    def blank_rows(self, width):
        for _ in range(self.draw(st.integers(0, 1)) if self.happens(4) else 0):
            cell = self.choose(["", "", " ", '""', "\u200b"])
            self.line(self.choose(["", self.separator.join([cell] * width), self.separator * (width + 2)]))


@st.composite
def files(draw):
    separator = draw(st.sampled_from(",;\t"))
    pen = FileWriter(draw, separator)
    kind = pen.choose(["students", "enrollments"])
    required = (
        ["student_number", "given_name", "family_name"] if kind == "students" else ["student_number", "course_code"]
    )
    optional = ["email"] if kind == "students" else ["status"]
    columns = draw(st.permutations(required + optional + [f"Note {n}" for n in range(draw(st.integers(0, 2)))]))
    meant = ExpectedFile(kind)
    if pen.happens(5):
        stated = pen.choose(["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "sep =;"]).replace(";", separator)
        pen.line(stated)
        pen.number = 0
    if pen.happens(12):
        pen.line(pen.choose(["Students of fall", "# exported 2026-09-01", "Report: fall" + separator]))
        meant.is_refused = True
    pen.blank_rows(len(columns))
    header = [pen.choose(SPELLED.get(name, ["Note", name, "Remarks"])) for name in columns]
    trailing = pen.choose([0, 0, 0, 1, 2])
    written_header = separator.join([pen.quoted(c) if "\n" in c or pen.happens() else c for c in header])
    pen.line(written_header + separator * trailing)
    for row in draw(rows_of(kind)):
        pen.blank_rows(len(columns))
        _write(pen, meant, columns, required, row)
        if pen.happens(12):
            pen.line(pen.choose(["", "\ufeff"]) + written_header + separator * pen.choose([0, trailing]))
        if pen.happens(12):
            dashes = separator.join("-" * pen.choose([1, 5, 9]) for _ in columns)
            meant.refused.add(pen.line(pen.choose([dashes, "(2 rows affected)", "# a comment", "-----+----"])))
    pen.blank_rows(len(columns))
    _encode(pen, meant)
    return meant


def rows_of(kind):
    """Return rows with different keys."""
    unique = ["student_number"]
    if kind == "students":
        cells = {
            "student_number": st.sampled_from(NUMBERS),
            "given_name": st.sampled_from(NAMES),
            "family_name": st.sampled_from(NAMES),
            "email": st.sampled_from(["", "ann{}@x.example"]),
        }
    else:
        cells = {
            "student_number": st.sampled_from(ENROLLED),
            "course_code": st.sampled_from(COURSES),
            "status": st.sampled_from(["", "enrolled", "Enrolled"]),
        }
        unique.append("course_code")
    return st.lists(
        st.fixed_dictionaries(cells), min_size=1, max_size=6, unique_by=lambda row: tuple(row[name] for name in unique)
    )


def _write(pen, meant, columns, required, row):
    row = {name: text.format(row["student_number"].encode().hex()) for name, text in row.items()}
    cells = [row[name] if name in row else pen.choose(NOTES) for name in columns]
    fault = pen.choose(["", "", "", "", "", "", "long", "short"])
    if fault == "long":
        meant.refused.add(pen.row([*cells, pen.choose(["x", "Jr.", "0"])]))
    elif fault == "short":
        last = max(columns.index(name) for name in required)
        kept = cells[: pen.draw(st.integers(1, last))]
        if any(kept):
            meant.refused.add(pen.row(kept))
    else:
        while pen.happens(3) and cells and cells[-1] == "" and columns[len(cells) - 1] not in required:
            cells.pop()
        extra = [""] * (pen.choose([0, 0, 0, 1, 3]) if len(cells) == len(columns) else 0)
        meant.rows[pen.row([*cells, *extra])] = row


def _encode(pen, meant):
    encoding = pen.choose(["utf-8"] * 6 + ["utf-8-sig"] * 3 + ["bom twice", "cp1252", "utf-16"])
    if encoding == "bom twice":
        meant.content = ("\ufeff\ufeff" + pen.text).encode()
    elif encoding == "cp1252":
        meant.content = pen.text.encode("cp1252", "replace").replace(b"?", b"\xe9")
        meant.is_refused |= any(byte > 127 for byte in meant.content)
    else:
        meant.content = pen.text.encode(encoding)
        meant.is_refused |= encoding == "utf-16"


def imported(kind, content):
    return worked_on(
        submit(
            io.BytesIO(content),
            ImportRequest(kind, ImportChannel.API, "r", review="needed", on_error="skip", again=True),
        )
    )


def stored_outcomes(job):
    [part] = parts_of(job)
    return {each.number: (each.outcome, [e[0] for e in each.errors]) for _raw, each in Report(job, part).rows()}


def failed_rows(job):
    [part] = parts_of(job)
    return "".join(Report(job, part).failed_as_csv()).encode()


@pytest.fixture(autouse=True)
def world():
    for number in ENROLLED:
        make_student(student_number=number)
    for code in COURSES:
        make_course(code=code, term=None)


@settings(max_examples=examples(30))
@given(files())
def test_every_row_is_applied_with_its_meaning_or_reported(meant):
    with transaction.atomic():
        try:
            check_import(meant)
        finally:
            transaction.set_rollback(True)


def check_import(meant):
    students = Student.objects.exclude(student_number__in=ENROLLED)

    job = imported(meant.kind, meant.content)

    if meant.is_refused:
        assert (job.state, job.counts) == (State.FAILED, {})
        assert [problem["code"] for problem in job.problems] != []
        assert (students.count(), StudentCourse.objects.count()) == (0, 0)
        return
    report = stored_outcomes(job)
    assert {number for number, (outcome, _codes) in report.items() if outcome == ERROR} == meant.refused, job.problems
    assert set(report) == meant.refused | set(meant.rows)
    names = ("student_number", "given_name", "family_name", "email")
    assert set(students.values_list(*names)) == {
        tuple(row[name] for name in names) for row in meant.rows.values() if meant.kind == "students"
    }
    found = StudentCourse.objects.values_list("student__student_number", "course__code", "status")
    assert set(found) == {
        (row["student_number"], row["course_code"], "enrolled")
        for row in meant.rows.values()
        if meant.kind == "enrollments"
    }
    if meant.refused:
        again = stored_outcomes(imported(meant.kind, failed_rows(job)))
        assert list(again.values()) == [report[number] for number in sorted(meant.refused)]
