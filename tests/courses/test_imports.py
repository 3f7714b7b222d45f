"""The import of course files."""

import csv
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from courses.models import Course
from tests.support.factories import make_course, make_term

pytestmark = pytest.mark.django_db

HEADER = "course_code,term,name,level,capacity,enrollment_opens_at,enrollment_closes_at,is_active\n"


@pytest.fixture
def run(tmp_path):
    def run(text):
        file, report = tmp_path / "file.csv", tmp_path / "report.csv"
        file.write_text(text)
        with suppress(CommandError, SystemExit):
            call_command("import_courses", str(file), report=str(report), on_error="skip")
        return [(r["outcome"], r["code"], r["field"]) for r in csv.DictReader(report.read_text().splitlines())]

    return run


def test_courses_are_created_updated_and_unchanged(run):
    term = make_term(code="2026F")
    make_course(code="M-1", name="Old", term=term, capacity=10)
    make_course(code="M-1", name="Elsewhere", term=None)

    told = run(
        HEADER
        + "M-1,2026F,New,introductory,,,,\n"
        + "M-1,,Elsewhere,introductory,,,,\n"
        + "M-2,2026F,Two,graduate,30,2026-08-01T08:00:00Z,2026-09-01 08:00,false\n"
    )

    assert [outcome for outcome, _code, _field in told] == ["updated", "unchanged", "created"]
    assert Course.objects.get(code="M-1", term=term).capacity is None
    made = Course.objects.get(code="M-2")
    assert (made.capacity, made.level, made.is_active) == (30, "graduate", False)
    assert made.enrollment_opens_at == datetime(2026, 8, 1, 8, tzinfo=UTC)
    assert made.enrollment_closes_at == datetime(2026, 9, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ("M 1@x,,A,introductory,,,,", "invalid_identifier", "course_code"),
        ("M-1,2099F,A,introductory,,,,", "term_not_found", "term"),
        ("M-1,,,introductory,,,,", "blank", "name"),
        ("M-1,,A,difficult,,,,", "invalid_choice", "level"),
        ("M-1,,A,introductory,-1,,,", "min_value", "capacity"),
        ("M-1,,A,introductory,many,,,", "invalid", "capacity"),
        ("M-1,,A,introductory,99999999999999999999,,,", "max_value", "capacity"),
        ("M-1,,A,introductory,,tomorrow,,", "invalid", "enrollment_opens_at"),
        ("M-1,,A,introductory,,2026-02-30,,", "invalid_date", "enrollment_opens_at"),
        ("M-1,,A,introductory,,2026-09-01T08:00:00Z,2026-08-01T08:00:00Z,", "dates_reversed", ""),
        ("M-1,,A,introductory,,0001-01-01T00:00:00+14:00,,", "year_out_of_range", "enrollment_opens_at"),
        ("M-1,,A,introductory,,9999-12-31T23:59:59-14:00,,", "year_out_of_range", "enrollment_opens_at"),
    ],
)
def test_an_invalid_course_is_reported_and_the_others_are_created(run, row, code, field):
    told = run(HEADER + f"{row}\nM-2,,B,introductory,,,,\n")

    assert told == [("error", code, field), ("created", "", "")]
    assert [course.code for course in Course.objects.all()] == ["M-2"]
