"""Files of holds: place, replace and release; full files, undo, and the export."""

import io
from datetime import date

import pytest
from django.core.management import call_command

import students.imports.holds
from bulk.importers import base, import_parts
from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import approve, start_undo
from bulk.models import ImportChannel, State
from bulk.reports import Report
from bulk.row_result_store import stored_results
from school.refusals import Refused
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.holds import release_holds
from students.models import Hold, Student, StudentCourse
from tests.support.factories import make_course, make_hold, make_student, make_term
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db

HEADER = "student_number,code,term,reason,from,until,status\n"


@pytest.fixture(autouse=True)
def people():
    for number in ("S-1", "S-2", "S-3"):
        make_student(student_number=number)
    make_term(code="2026F")


def holds(text, **options):
    return imported(HEADER + text, **{"kind": "holds", "on_error": "skip", "again": True, **options})


def full(text, **options):
    return holds(text, **{"mode": "full", "scope": "all", "review": "needed", **options})


def approved(job):
    """Approve an import that waits because it would release more than a tenth of its scope."""
    assert job.state == State.NEEDS_REVIEW
    return worked_on(approve(job.pk))


def open_holds():
    rows = Hold.objects.open().order_by("student__student_number", "code", "pk")
    return list(rows.values_list("student__student_number", "code", "term__code"))


def flags():
    return set(Student.objects.filter(has_holds=True).values_list("student_number", flat=True))


def results_of(job):
    [part] = parts_of(job)
    return [(list(raw[:2]), told.outcome) for raw, told in Report(job, part).rows()]


def test_a_file_places_holds_and_its_repetition_changes_nothing(registrar):
    text = "S-1,LIBRARY,,two books,2026-09-01,2026-12-31,\nS-1,FEES,2026F,,,,placed\nS-2,LIBRARY,,,,,active\n"

    first, second = holds(text, actor=registrar), holds(text)

    assert [outcome for _n, outcome, _codes in outcomes(first)] == ["created"] * 3
    assert [outcome for _n, outcome, _codes in outcomes(second)] == ["unchanged"] * 3
    assert open_holds() == [("S-1", "FEES", "2026F"), ("S-1", "LIBRARY", None), ("S-2", "LIBRARY", None)]
    hold = Hold.objects.get(code="LIBRARY", student__student_number="S-1")
    assert (hold.reason, hold.starts_on, hold.ends_on) == ("two books", date(2026, 9, 1), date(2026, 12, 31))
    assert (hold.placed_by, hold.placed_import) == (registrar, first)
    assert flags() == {"S-1", "S-2"}


def test_a_row_with_other_values_replaces_the_hold_and_missing_columns_keep_theirs():
    holds("S-1,LIBRARY,,two books,2026-09-01,,\n")

    job = imported("student_number,code,until\nS-1,LIBRARY,2026-12-31\n", kind="holds")

    assert outcomes(job) == [(2, "updated", [])]
    hold = Hold.objects.open().get()
    assert (hold.reason, hold.starts_on, hold.ends_on) == ("two books", date(2026, 9, 1), date(2026, 12, 31))
    assert Hold.objects.exclude(pk=hold.pk).get().released_import == job


def test_a_row_releases_a_hold_once():
    make_hold(Student.objects.get(student_number="S-1"), "LIBRARY")

    jobs = [holds("S-1,LIBRARY,,,,,released\nS-2,LIBRARY,,,,,released\n") for _ in range(2)]

    assert [[outcome for _n, outcome, _codes in outcomes(job)] for job in jobs] == [
        ["released", "unchanged"],
        ["unchanged", "unchanged"],
    ]
    assert (open_holds(), flags()) == ([], set())


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (",LIBRARY,,,,,", "blank", "student_number"),
        ("S-9,LIBRARY,,,,,", "student_not_found", "student_number"),
        ("S-1,,,,,,", "blank", "code"),
        ("S-1,a/b,,,,,", "invalid_identifier", "code"),
        ("S-1,LIBRARY,2099F,,,,", "term_not_found", "term"),
        ("S-1,LIBRARY,,,soon,,", "invalid", "from"),
        ("S-1,LIBRARY,,,2026-09-02,2026-09-01,", "dates_reversed", "until"),
        ("S-1,LIBRARY,,,,9999-01-01,", "year_out_of_range", "until"),
        ("S-1,LIBRARY,,,,,gone", "invalid_choice", "status"),
        (f"S-1,LIBRARY,,{'x' * 501},,,", "max_length", "reason"),
    ],
)
def test_a_faulty_row_is_reported_by_column_and_the_others_are_applied(row, code, column):
    job = holds(f"{row}\nS-2,LIBRARY,,,,,\n")

    [faulty, good] = stored_results(job)
    assert [error[:2] for error in faulty.errors] == [(code, column)]
    assert good.outcome == "created"


def test_rows_that_contradict_each_other_are_refused():
    job = holds("S-1,LIBRARY,,,,,\nS-1,LIBRARY,,,,,active\nS-1,LIBRARY,,,,,released\n")

    assert outcomes(job) == [(2, "created", []), (3, "unchanged", []), (4, "error", ["duplicate_row"])]


@pytest.fixture
def small_chunks(monkeypatch):
    for module in (import_parts, base, students.imports.holds):
        monkeypatch.setattr(module, "CHUNK_SIZE", 2)


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_a_full_file_releases_the_holds_of_its_source_that_it_does_not_list(small_chunks, on_error):
    holds("S-1,LIBRARY,,,,,\nS-2,LIBRARY,,,,,\nS-3,FEES,,,,,\n", dataset="library")
    holds("S-3,LIBRARY,,,,,\n", dataset="another")
    make_hold(Student.objects.get(student_number="S-2"), "FEES")

    job = approved(full("S-1,LIBRARY,,,,,\n", dataset="library", on_error=on_error))

    assert open_holds() == [("S-1", "LIBRARY", None), ("S-2", "FEES", None), ("S-3", "LIBRARY", None)]
    assert results_of(job) == [
        (["S-2", "LIBRARY"], "released"),
        (["S-3", "FEES"], "released"),
        (["S-3", "LIBRARY"], "kept_other_source"),
        (["S-2", "FEES"], "kept_manual"),
        (["S-1", "LIBRARY"], "unchanged"),
    ]
    assert (job.ending, job.in_scope, flags()) == (2, 3, {"S-1", "S-2", "S-3"})


def test_a_full_file_of_a_code_concerns_only_holds_with_this_code():
    holds("S-1,LIBRARY,,,,,\nS-1,FEES,,,,,\n")

    job = approved(full("S-2,FEES,,,,,\nS-2,LIBRARY,,,,,\n", scope="code:LIBRARY"))

    assert open_holds() == [("S-1", "FEES", None), ("S-2", "LIBRARY", None)]
    assert outcomes(job)[-2:] == [(2, "error", ["out_of_scope"]), (3, "created", [])]


def test_a_full_file_keeps_holds_that_a_faulty_row_may_mean():
    holds("S-1,LIBRARY,,,,,\nS-1,FEES,,,,,\nS-2,LIBRARY,,,,,\nS-3,LIBRARY,,,,,\nS-3,FEES,,,,,\n")

    job = full("S-1,LIBRARY,2099F,,,,\nS-9,FEES,,,,,\nS-2,,,,,,\n")

    assert results_of(approved(job))[:5] == [
        (["S-1", "LIBRARY"], "kept_uncertain"),
        (["S-1", "FEES"], "kept_uncertain"),
        (["S-2", "LIBRARY"], "kept_uncertain"),
        (["S-3", "LIBRARY"], "released"),
        (["S-3", "FEES"], "kept_uncertain"),
    ]


@pytest.mark.parametrize("scope", ["", "term:2026F", "code:", "everything"])
def test_a_full_file_needs_a_scope_of_holds(scope):
    with pytest.raises(Refused) as caught:
        full("S-1,LIBRARY,,,,,\n", scope=scope)

    assert [(each.code, each.field) for each in caught.value.refusals] == [("invalid_scope", "scope")]


def waitlisted(actor):
    """Let S-1 wait for a seat that S-2 has, and give S-1 a hold; then free the seat."""
    course = make_course(capacity=1, waitlist_capacity=1)
    waiter, holder = (Student.objects.get(student_number=number) for number in ("S-1", "S-2"))
    for student in (holder, waiter):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    holds("S-1,LIBRARY,,,,,\n")
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    assert not StudentCourse.objects.enrolled().exists()


@pytest.mark.parametrize("way", ["row", "full file", "undo", "dry run"])
def test_a_release_by_a_file_gives_seats_to_waitlisted_students(way, actor):
    waitlisted(actor)
    placed = Hold.objects.get().placed_import
    match way:
        case "row":
            holds("S-1,LIBRARY,,,,,released\n")
        case "full file":
            approved(full("S-2,LIBRARY,,,,,\n"))
        case "undo":
            assert placed is not None
            undone(placed)
        case "dry run":
            holds("S-1,LIBRARY,,,,,released\n", review="dry_run")

    enrolled = list(StudentCourse.objects.enrolled().values_list("student__student_number", flat=True))
    assert enrolled == ([] if way == "dry run" else ["S-1"])


def undone(job):
    return worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))


def test_an_undo_releases_what_was_placed_and_reopens_what_was_released():
    holds("S-1,LIBRARY,,two books,,,\nS-2,LIBRARY,,,,,\n")
    job = holds("S-1,LIBRARY,,three books,,,\nS-2,LIBRARY,,,,,released\nS-3,LIBRARY,,,,,\n")

    undo = undone(job)

    assert {outcome for _n, outcome, _codes in outcomes(undo)} == {"reversed"}
    assert open_holds() == [("S-1", "LIBRARY", None), ("S-2", "LIBRARY", None)]
    assert Hold.objects.open().get(student__student_number="S-1").reason == "two books"
    assert flags() == {"S-1", "S-2"}
    job.refresh_from_db()
    assert job.state == State.UNDONE


def test_an_undo_keeps_holds_that_have_changed_since(actor):
    holds("S-2,LIBRARY,,,,,\n")
    job = holds("S-1,LIBRARY,,,,,\nS-2,LIBRARY,,,,,released\n")
    release_holds([Hold.objects.get(student__student_number="S-1").pk], actor=actor)
    make_hold(Student.objects.get(student_number="S-2"), "LIBRARY", reason="again")

    undo = undone(job)

    assert [(outcome, codes) for _n, outcome, codes in outcomes(undo)] == [("kept", ["changed_since"])] * 2
    assert Hold.objects.open().get().reason == "again"


def test_an_undo_of_a_full_file_reopens_the_holds():
    holds("S-1,LIBRARY,,,,,\nS-2,LIBRARY,,,,,\n")
    job = approved(full("S-1,LIBRARY,,,,,\n"))
    assert open_holds() == [("S-1", "LIBRARY", None)]

    undone(job)

    assert open_holds() == [("S-1", "LIBRARY", None), ("S-2", "LIBRARY", None)]


def test_an_export_can_be_imported_again_and_changes_nothing(tmp_path, capsys, actor):
    holds('S-1,LIBRARY,,"two books, ""old""",2026-09-01,2026-12-31,\nS-1,FEES,2026F,,,,\nS-2,LIBRARY,,,,,\n')
    release_holds([Hold.objects.get(student__student_number="S-2").pk], actor=actor)
    file = tmp_path / "holds.csv"

    call_command("export_holds", output=str(file))
    call_command("import_holds", str(file), again=True, report=str(tmp_path / "report.csv"))

    assert file.read_text() == (
        "student_number,code,term,reason,from,until\n"
        'S-1,LIBRARY,,"two books, ""old""",2026-09-01,2026-12-31\nS-1,FEES,2026F,,,\n'
    )
    assert "2 unchanged" in capsys.readouterr().out
    assert Hold.objects.count() == 3


def test_the_command_imports_a_full_file_and_waits_for_approval(tmp_path):
    holds("S-1,LIBRARY,,,,,\nS-2,LIBRARY,,,,,\n", dataset="library")
    file = tmp_path / "holds.csv"
    file.write_text(f"{HEADER}S-1,LIBRARY,,,,,\n")
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}

    with pytest.raises(SystemExit) as caught:
        call_command("import_holds", str(file), dataset="library", mode="full", scope="code:LIBRARY", **quiet)

    assert caught.value.code == 3
    assert len(open_holds()) == 2
