"""The import and export commands, as data staff run them."""

import csv
import io
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from students.enrollment import drop, enroll
from students.imports import StudentImporter
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

HEADER = "student_number,course_code,term,status,grade,reason\n"
EXPORT_HEADER = "student_number,course_code,term,section,status,grade,reason\n"


@pytest.fixture
def run(tmp_path, capsys):
    """Run an import of a text; return its exit code, its report and its failed rows."""

    def run(command, text, **options):
        file, report, failed = (tmp_path / name for name in ("file.csv", "report.csv", "failed.csv"))
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            call_command(command, str(file), report=str(report), failed=str(failed), **options)
            code = 0
        except CommandError:
            code = 1
        except SystemExit as error:
            code = int(error.code or 0)
        rows = list(csv.DictReader(report.read_text().splitlines())) if report.exists() else []
        return code, rows, failed.read_text() if failed.exists() else ""

    return run


@pytest.fixture
def world():
    """Two students and two courses, one of them in a term and with one seat."""
    make_student(student_number="S-1")
    make_student(student_number="S-2")
    make_course(code="M-1", term=make_term(code="2026F"), capacity=1)
    make_course(code="M-2")


def outcomes(rows):
    return [(row["row"], row["outcome"], row["code"]) for row in rows]


def state():
    rows = StudentCourse.objects.order_by("pk")
    return list(rows.values_list("student__student_number", "course__code", "status", "grade"))


def test_rows_are_applied_in_order_and_each_has_an_outcome(run, world):
    code, rows, failed = run(
        "import_enrollments",
        HEADER + "S-1,M-1,2026F,,,\nS-2,M-1,2026F,,,\nS-1,M-2,,Completed,A,\nS-2,M-2,,enrolled,,late\n",
        on_error="skip",
    )

    assert code == 2
    assert outcomes(rows) == [
        ("2", "enrolled", ""),
        ("3", "error", "course_full"),
        ("4", "error", "not_enrolled"),
        ("5", "enrolled", ""),
    ]
    assert state() == [("S-1", "M-1", "enrolled", ""), ("S-2", "M-2", "enrolled", "")]
    assert failed == HEADER + "S-2,M-1,2026F,,,\nS-1,M-2,,Completed,A,\n"
    assert [event.reason for event in EnrollmentEvent.objects.all()] == ["", "late"]
    assert rows[0]["enrollment_id"] == str(StudentCourse.objects.order_by("pk")[0].pk)


def test_with_abort_one_invalid_row_prevents_the_import(run, world):
    code, rows, _failed = run("import_enrollments", HEADER + "S-1,M-2,,,,\nS-9,M-9,,asleep,A,\n")

    assert (code, state(), EnrollmentEvent.objects.count()) == (1, [], 0)
    assert outcomes(rows) == [
        ("2", "enrolled", ""),
        ("3", "error", "student_not_found; course_not_found; invalid_choice"),
    ]
    assert rows[1]["field"] == "student_number; course_code; status"


def test_a_dry_run_reports_the_outcomes_of_the_real_run_and_writes_nothing(run, world):
    text = HEADER + "S-1,M-1,,,,\nS-2,M-1,,,,\nS-2,M-2,,,,\n"

    dry = run("import_enrollments", text, on_error="skip", dry_run=True)
    assert (state(), EnrollmentEvent.objects.count()) == ([], 0)
    real = run("import_enrollments", text, on_error="skip")

    without_ids = [[{**row, "enrollment_id": ""} for row in rows] for _code, rows, _failed in (dry, real)]
    assert without_ids[0] == without_ids[1]
    assert (dry[0], dry[2]) == (real[0], real[2])


def test_importing_the_same_file_again_changes_nothing(run, world, actor):
    student, course = Student.objects.get(student_number="S-2"), make_course(code="M-3")
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    text = HEADER + "S-1,M-1,2026F,enrolled,,\nS-2,M-3,,completed,B,\n"
    run("import_enrollments", text)
    before = (state(), EnrollmentEvent.objects.count())

    code, rows, _failed = run("import_enrollments", text, again=True)

    assert (code, [row["outcome"] for row in rows]) == (0, ["unchanged", "unchanged"])
    assert (state(), EnrollmentEvent.objects.count()) == before


@pytest.mark.parametrize(
    ("status", "grade", "outcome", "left"),
    [
        ("", "", "unchanged", "enrolled"),
        ("active", "", "unchanged", "enrolled"),
        ("ENROLLED", "", "unchanged", "enrolled"),
        ("dropped", "", "dropped", "dropped"),
        ("deleted", "", "dropped", "dropped"),
        ("withdrawn", "", "dropped", "dropped"),
        ("completed", "", "completed", "completed"),
        ("completed", "A", "completed", "completed"),
        ("enrolled", "A", "error", "enrolled"),
        ("completed", "x" * 33, "error", "enrolled"),
    ],
)
def test_the_status_column_sets_the_status_of_the_enrollment(run, world, actor, status, grade, outcome, left):
    student, course = Student.objects.get(student_number="S-1"), make_course(code="M-3")
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    _code, rows, _failed = run("import_enrollments", HEADER + f"S-1,M-3,,{status},{grade},\n")

    assert ([row["outcome"] for row in rows], [row[2] for row in state()]) == ([outcome], [left])


def test_a_repeated_row_is_unchanged_and_a_contradicting_row_is_an_error(run, world):
    code, rows, _failed = run(
        "import_enrollments", HEADER + "S-1,M-2,,,,\nS-1,M-2,,,,\nS-1,M-2,,dropped,,\n", on_error="skip"
    )

    assert (code, outcomes(rows)) == (
        2,
        [("2", "enrolled", ""), ("3", "unchanged", ""), ("4", "error", "duplicate_row")],
    )


def test_failed_rows_can_be_corrected_and_imported_again(run, world):
    _code, _rows, failed = run(
        "import_enrollments", "user_id;course_id;note\nS-1;M-9;=1+1\nS-2;M-2;x\n", on_error="skip"
    )
    assert failed == "user_id;course_id;note\nS-1;M-9;'=1+1\n"

    code, rows, _failed = run("import_enrollments", failed.replace("M-9", "M-1"))

    assert (code, outcomes(rows)) == (0, [("2", "enrolled", "")])


def test_importing_an_export_changes_nothing(run, world, actor, tmp_path):
    guarded = make_student(student_number="=1+1")
    for student in Student.objects.all():
        for course in (make_course(), make_course(term=make_term())):
            enroll(student_id=student.pk, course_id=course.pk, actor=actor)
            drop(student_id=student.pk, course_id=course.pk, actor=actor)
            enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=guarded.pk, course_id=course.pk, actor=actor)
    target = tmp_path / "export.csv"
    call_command("export_enrollments", output=str(target))
    before = (state(), EnrollmentEvent.objects.count())

    code, rows, _failed = run("import_enrollments", target.read_text())

    assert target.read_text().startswith(EXPORT_HEADER)
    assert (code, {row["outcome"] for row in rows}, len(rows)) == (0, {"unchanged"}, 6)
    assert (state(), EnrollmentEvent.objects.count()) == before


def test_an_export_contains_no_spreadsheet_formulas(actor, capsys):
    student, course = make_student(student_number="=HYPERLINK(1)"), make_course(code="M-1")
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    call_command("export_enrollments")

    assert capsys.readouterr().out == EXPORT_HEADER + "'=HYPERLINK(1),M-1,,,enrolled,,\n"


def test_an_export_can_be_limited_to_one_term(world, actor, capsys):
    student = Student.objects.get(student_number="S-1")
    for course in student.courses.model.objects.all():
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    call_command("export_enrollments", term="2026F")

    assert capsys.readouterr().out == EXPORT_HEADER + "S-1,M-1,2026F,,enrolled,,\n"
    with pytest.raises(CommandError, match=r"There is no term 2099F\."):
        call_command("export_enrollments", term="2099F")


def test_a_file_is_read_from_standard_input(world, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEADER + "S-1,M-2,,,,\n").encode())))

    call_command("import_enrollments", "-")

    assert state() == [("S-1", "M-2", "enrolled", "")]


def test_the_journal_records_the_actor_of_an_import(run, world, registrar):
    run("import_enrollments", HEADER + "S-1,M-2,,,,\n", actor="registrar")

    event = EnrollmentEvent.objects.get()
    assert (event.actor, event.channel, len(event.request_id)) == (registrar, "import", 36)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file is empty."),
        (b"\x7fELF\x00", "Row 1: The file is not a text file. Save it as CSV in UTF-8."),
        (
            b"a,b\n",
            "Row 1: Columns missing in the header: student_number, course_code."
            " This row was read as the header: a | b.",
        ),
        (
            HEADER.encode() + b"S-1,M-2,,,,\nS-2,M\xe9,,,,\n",
            "Row 3: The byte 0xe9 is not UTF-8. Save the file as CSV in UTF-8.",
        ),
        (
            HEADER.encode() + b"S-1,M-2,,,,\nS-2," + b"x" * 10_000_000,
            "Row 3: This row is longer than 1000000 bytes. Check for a missing closing quote.",
        ),
    ],
)
def test_an_unreadable_file_is_a_one_line_error_and_writes_nothing_even_with_skip(world, tmp_path, data, message):
    file = tmp_path / "file.csv"
    file.write_bytes(data)

    with pytest.raises(CommandError) as error:
        call_command("import_enrollments", str(file), on_error="skip")

    assert str(error.value) == f"{message} Nothing was applied."
    assert state() == []


@pytest.mark.parametrize("option", ["report", "failed"])
def test_an_output_file_cannot_be_the_input_file(world, tmp_path, option):
    file = tmp_path / "file.csv"
    file.write_text(HEADER)

    with pytest.raises(CommandError, match="write elsewhere"):
        call_command("import_enrollments", str(file), **{option: str(file)})

    assert file.read_text() == HEADER


def test_an_unwritable_report_stops_the_import_before_any_change(world, tmp_path):
    file = tmp_path / "file.csv"
    file.write_text(HEADER + "S-1,M-2,,,,\n")

    with pytest.raises(CommandError, match=r"Cannot write .*: No such file or directory\. Nothing was applied\."):
        call_command("import_enrollments", str(file), report=str(tmp_path / "no" / "report.csv"))

    assert state() == []


def test_an_import_of_twice_the_rows_costs_no_more_queries_within_a_chunk(run):
    course = make_course(capacity=5_000)
    costs = []
    for size in (1, 70):
        numbers = [make_student().student_number for _ in range(size)]
        text = HEADER + "".join(f"{number},{course.code},,,,\n" for number in numbers)
        with CaptureQueriesContext(connection) as queries:
            assert run("import_enrollments", text)[0] == 0
        costs.append(len(queries))

    assert costs[0] == costs[1]


STUDENTS = "student_number,given_name,family_name,email,is_active\n"


def test_students_are_created_updated_and_unchanged(run):
    make_student(student_number="S-1", given_name="Ada", family_name="Byron", email="ada@school.example")
    make_student(student_number="S-2", given_name="Bob", family_name="Adams", email="")

    code, rows, _failed = run(
        "import_students",
        STUDENTS + "S-1,Ada,Lovelace,ada@school.example,\nS-2,Bob,Adams,,\n007,Cy,Crane,,no\n",
    )

    assert (code, [row["outcome"] for row in rows]) == (0, ["updated", "unchanged", "created"])
    assert list(Student.objects.order_by("pk").values_list("student_number", "family_name", "is_active")) == [
        ("S-1", "Lovelace", True),
        ("S-2", "Adams", True),
        ("007", "Crane", False),
    ]
    assert [student.history.count() for student in Student.objects.order_by("pk")] == [2, 1, 1]


def test_a_missing_column_changes_nothing(run):
    make_student(student_number="S-1", email="ada@school.example", is_active=False)

    run("import_students", "student_number,given_name,family_name\nS-1,Ada,Lovelace\n")

    student = Student.objects.get()
    assert (student.family_name, student.email, student.is_active) == ("Lovelace", "ada@school.example", False)


def test_every_error_of_every_student_is_reported(run):
    make_student(student_number="S-1", email="taken@school.example")

    code, rows, _failed = run(
        "import_students",
        STUDENTS + "S/2,Ada,Byron,nonsense,maybe\nS-3,Cy,Crane,TAKEN@school.example,\nS-4,Di,Dunn,,\n",
        on_error="skip",
    )

    assert (code, outcomes(rows)) == (
        2,
        [
            ("2", "error", "invalid_identifier; invalid; invalid"),
            ("3", "error", "unique"),
            ("4", "created", ""),
        ],
    )
    assert rows[0]["field"] == "student_number; email; is_active"


def test_an_email_address_used_twice_in_a_file_goes_to_the_first_row(run):
    code, rows, _failed = run(
        "import_students",
        STUDENTS + "S-1,Ada,Byron,a@school.example,\nS-2,Bob,Adams,A@school.example,\n",
        on_error="skip",
    )

    assert (code, outcomes(rows)) == (2, [("2", "created", ""), ("3", "error", "unique")])


def test_importing_the_same_student_file_again_adds_no_history(run):
    text = STUDENTS + "S-1,Ada,Byron,,\n"
    run("import_students", text)

    _code, rows, _failed = run("import_students", text, again=True)

    assert ([row["outcome"] for row in rows], Student.objects.get().history.count()) == (["unchanged"], 1)


def test_the_report_is_written_only_inside_its_folder(run, world, tmp_path):
    run("import_enrollments", HEADER)

    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["failed.csv", "file.csv", "report.csv"]


def test_equivalent_rows_for_one_enrollment_are_not_a_contradiction(run, world):
    """In Canvas a student in two sections of a course has a row for each; statuses have several names."""
    header = "user_id,course_id,section_id,role,status\n"
    rows = "S-1,M-2,A,student,active\nS-1,M-2,B,StudentEnrollment,Enrolled\nS-1,M-2,,,\n"

    code, report, _failed = run("import_enrollments", f"{header}{rows}S-1,M-2,C,student,deleted\n", on_error="skip")

    assert (code, outcomes(report)) == (
        2,
        [("2", "enrolled", ""), ("3", "unchanged", ""), ("4", "unchanged", ""), ("5", "error", "duplicate_row")],
    )


def test_a_course_identified_with_and_without_its_term_is_one_course(run, world):
    agreeing = HEADER + "S-1,M-1,2026F,,,\nS-1,M-1,,,,\n"
    contradicting = HEADER + "S-1,M-1,2026F,,,\nS-1,M-1,,dropped,,\n"

    assert outcomes(run("import_enrollments", agreeing)[1]) == [("2", "enrolled", ""), ("3", "unchanged", "")]
    assert outcomes(run("import_enrollments", contradicting)[1])[1] == ("3", "error", "duplicate_row")


def test_an_escaped_cell_of_a_failed_row_is_written_unchanged(run):
    _code, _rows, failed = run("import_enrollments", "student_number,course_code\n'-5,M-1\n=5,M-1\n")

    assert failed == "student_number,course_code\n'-5,M-1\n'=5,M-1\n"


def test_report_and_failed_rows_need_different_files(world, tmp_path):
    with pytest.raises(CommandError, match="need different files"):
        call_command("import_enrollments", "file.csv", report="same.csv", failed="same.csv")


def test_a_missing_column_is_not_written_even_if_its_value_changed_meanwhile(run, monkeypatch):
    """The student is deactivated after the import has read it."""
    student = make_student(student_number="S-1")
    read = StudentImporter.find_existing

    def find_then_change(self, rows):
        found = read(self, rows)
        Student.objects.filter(pk=student.pk).update(is_active=False)
        return found

    monkeypatch.setattr(StudentImporter, "find_existing", find_then_change)

    run("import_students", "student_number,given_name,family_name\nS-1,New,Name\n")

    student.refresh_from_db()
    assert (student.given_name, student.is_active) == ("New", False)


def test_a_student_is_looked_up_once_for_all_chunks(run, world, monkeypatch):
    monkeypatch.setattr("bulk.importers.import_parts.CHUNK_SIZE", 2)
    courses = [make_course(code=f"X-{place}").code for place in range(3)]
    text = HEADER + "".join(f"S-{student},{course},,,,\n" for course in courses for student in (1, 2))

    with CaptureQueriesContext(connection) as queries:
        code, rows, _failed = run("import_enrollments", text)

    lookups = [query["sql"] for query in queries if "student_number" in query["sql"].partition("WHERE")[2]]
    assert (code, len(rows), len(lookups)) == (0, 6, 1)
    assert StudentCourse.objects.count() == 6
