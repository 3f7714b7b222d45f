"""Values in files, as written by people, spreadsheets and other systems."""

import csv
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bulk.models import Import
from courses.models import Course
from students.imports import StudentImporter
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

STUDENTS = "student_number,given_name,family_name,email\n"
ZERO_WIDTH = "\u200b"


@pytest.fixture
def run(tmp_path, capsys):
    """Import a text; return the exit code, and outcome, codes, fields and message of each row."""

    def run(kind, text, **options):
        file, report = tmp_path / "file.csv", tmp_path / "report.csv"
        file.write_text(text)
        try:
            call_command(f"import_{kind}", str(file), report=str(report), **options)
            code = 0
        except CommandError:
            code = 1
        except SystemExit as error:
            code = int(error.code or 0)
        rows = list(csv.DictReader(report.read_text().splitlines()))
        return code, [(r["outcome"], r["code"], r["field"], r["message"]) for r in rows]

    return run


def emails():
    return dict(Student.objects.order_by("student_number").values_list("student_number", "email"))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (f"S-1{ZERO_WIDTH}042", "Remove the invisible U+200B ZERO WIDTH SPACE at position 4."),
        ("S-1\u00ad042", "Remove the invisible U+00AD SOFT HYPHEN at position 4."),
        ("S\u20111042", "Write - instead of U+2011 NON-BREAKING HYPHEN at position 2."),
        ("S\u22121042", "Write - instead of U+2212 MINUS SIGN at position 2."),
        ("S\u25001042", "Write - instead of U+2500 BOX DRAWINGS LIGHT HORIZONTAL at position 2."),
        ("S\u27961042", "Write - instead of U+2796 HEAVY MINUS SIGN at position 2."),
        ("'S-1042'", "Remove U+0027 APOSTROPHE at position 1."),
        ("S-1042\u201d", "Remove U+201D RIGHT DOUBLE QUOTATION MARK at position 7."),
        ("S\u20331042", "Write '' instead of U+2033 DOUBLE PRIME at position 2."),
        ("#S-1042", "Remove U+0023 NUMBER SIGN at position 1."),
        ("\uff33-1042", "Write S instead of U+FF33 FULLWIDTH LATIN CAPITAL LETTER S at position 1."),
    ],
)
def test_a_number_with_a_confusable_character_is_refused_in_every_file(run, number, message):
    make_student(student_number="S-1042")
    make_course(code="M-1")

    students = run("students", f"{STUDENTS}{number},Ada,Byron,\n")
    enrollments = run("enrollments", f"student_number,course_code\n{number},M-1\n")

    assert students == (1, [("error", "invalid_identifier", "student_number", message)])
    meant = f"{message} Did you mean S-1042?"
    assert enrollments == (1, [("error", "invalid_identifier", "student_number", meant)])
    assert Student.objects.count() == 1


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("1.23457E+11", "A spreadsheet has shortened a number to 1.23457E+11, and digits are lost."),
        ("1042.0", "A spreadsheet has added a decimal to a number: 1042.0."),
        ('"1042,00"', "A spreadsheet has added a decimal to a number: 1042,00."),
        ('"1,042"', "A spreadsheet has added separators to a number: 1,042."),
        ('"1.042,00"', "A spreadsheet has added separators to a number: 1.042,00."),
        ("1'042", "A spreadsheet has added separators to a number: 1'042."),
    ],
)
def test_a_number_altered_by_a_spreadsheet_is_refused_with_advice(run, number, message):
    told = run("students", f"{STUDENTS}{number},Ada,Byron,\n")

    advice = "Format the column as text and enter the value again."
    assert told == (1, [("error", "invalid_identifier", "student_number", f"{message} {advice}")])


def test_an_unknown_key_suggests_a_similar_one(run):
    make_student(student_number="S-1042")
    make_course(code="MATH-101", term=make_term(code="2026F"))

    _code, rows = run(
        "enrollments",
        "student_number,course_code,term\n"
        "s-1042,MATH-101,2026F\n"
        "S-1042,math-101,2026f\n"
        "S-1042,MATH-101@2026F,\n"
        "S-9,MATH-999,\n",
    )

    assert rows == [
        ("error", "student_not_found", "student_number", "There is no student number:s-1042. Did you mean S-1042?"),
        (
            "error",
            "course_not_found",
            "course_code",
            "There is no course code:math-101@2026f. Did you mean code:MATH-101@2026F?",
        ),
        (
            "error",
            "course_not_found",
            "course_code",
            "There is no course code:MATH-101@2026F. Give the code and the term separately: MATH-101 and 2026F.",
        ),
        (
            "error",
            "student_not_found; course_not_found",
            "student_number; course_code",
            "There is no student number:S-9.; There is no course code:MATH-999.",
        ),
    ]
    assert StudentCourse.objects.count() == 0


def test_an_unknown_term_of_a_known_course_marks_the_term(run):
    make_student(student_number="S-1")
    make_course(code="MATH-101", term=make_term(code="2026F"))
    make_term(code="2025F", starts_on="2025-09-01", ends_on="2026-01-31")

    _code, rows = run(
        "enrollments",
        "student_number,course_code,term\nS-1,MATH-101,2099F\nS-1,MATH-101,2025F\nS-1,ART-1,2099F\n",
    )

    assert [row[1:3] for row in rows] == [
        ("course_not_found", "term"),
        ("course_not_found", "course_code"),
        ("course_not_found", "course_code"),
    ]


@pytest.mark.parametrize(
    ("number", "meant"),
    [("S 1042", "S-1042"), ("s1042", "S-1042"), ("\u0405-1042", "S-1042"), ("'S-1042'", "S-1042"), ("42", "00042")],
)
def test_a_number_in_another_spelling_suggests_the_student(run, number, meant):
    for each in ("S-1042", "00042"):
        make_student(student_number=each)
    make_course(code="M-1")

    _code, rows = run("enrollments", f"student_number,course_code\n{number},M-1\n")

    assert [(row[0], row[3].rpartition(". ")[2]) for row in rows] == [("error", f"Did you mean {meant}?")]


@pytest.mark.parametrize(
    ("code", "term"),
    [
        ("MATH 101", "2026F"),
        ("math101", "2026f"),
        ("MATH-101@2026F", "2026F"),
        ("MATH-101 (2026F)", ""),
        ("MATH-101/2026F", ""),
        ("MATH 101 2026F", ""),
        ("\u041c\u0410\u0422\u041d-101", "2026F"),
    ],
)
def test_a_course_code_in_another_spelling_suggests_the_course(run, code, term):
    make_student(student_number="S-1")
    make_course(code="MATH-101", term=make_term(code="2026F"))

    _code, rows = run("enrollments", f"student_number,course_code,term\nS-1,{code},{term}\n")

    assert [(row[0], row[3].rpartition("Did ")[2]) for row in rows] == [("error", "you mean code:MATH-101@2026F?")]


def test_composed_and_decomposed_letters_are_equal_in_numbers_and_codes(run):
    make_student(student_number="\u00c9-1")
    make_course(code="\u00c9T\u00c9")

    assert run("enrollments", "student_number,course_code\nE\u0301-1,E\u0301TE\u0301\n")[0] == 0
    assert run("students", f"{STUDENTS}E\u0301-1,Zoe\u0308,Byron,\n")[0] == 0

    assert list(Student.objects.values_list("student_number", "given_name")) == [("\u00c9-1", "Zo\u00eb")]


@pytest.mark.parametrize(
    ("word", "is_active"),
    [
        *((word, True) for word in ("TRUE", "WAHR", "VERDADERO", "Yes", "Ja", "S\u00ed", "1", "x", "")),
        *((word, False) for word in ("FALSE", "FALSCH", "FALSO", "No", "Nein", "0")),
    ],
)
def test_booleans_are_read_in_the_spellings_of_spreadsheets_and_people(run, word, is_active):
    code, _rows = run("students", f"student_number,given_name,family_name,is_active\nS-1,Ada,Byron,{word}\n")

    assert (code, Student.objects.get().is_active) == (0, is_active)


@pytest.mark.parametrize(
    ("cell", "capacity"), [("30", 30), ("30.0", 30), ('"30,00"', 30), ("30 ", 30), ('"1,000"', None), ("1e3", None)]
)
def test_whole_numbers_are_read_only_if_they_are_unambiguous(run, cell, capacity):
    code, rows = run("courses", f"course_code,name,level,capacity\nM-1,Algebra,Introductory,{cell}\n")

    if capacity is not None:
        assert (code, Course.objects.get().capacity, Course.objects.get().level) == (0, capacity, "introductory")
    else:
        value = cell.strip('"')
        message = f"{value} is not a whole number. Write digits only, for example 1000."
        assert (code, rows) == (1, [("error", "invalid", "capacity", message)])


def test_timestamps_without_an_offset_are_local_and_must_exist_exactly_once(run, settings):
    settings.TIME_ZONE = "Europe/Berlin"

    code, rows = run(
        "courses",
        "course_code,name,level,enrollment_opens_at\n"
        "M-1,A,advanced,2026-08-01 09:00\n"
        "M-2,A,advanced,2026-03-29 02:30\n"
        "M-3,A,advanced,2026-10-25 02:30\n"
        "M-4,A,advanced,2026-10-25 02:30+02:00\n"
        "M-5,A,advanced,8/1/2026\n",
        on_error="skip",
    )

    assert (code, [row[:3] for row in rows]) == (
        2,
        [
            ("created", "", ""),
            ("error", "ambiguous_timezone", "enrollment_opens_at"),
            ("error", "ambiguous_timezone", "enrollment_opens_at"),
            ("created", "", ""),
            ("error", "invalid", "enrollment_opens_at"),
        ],
    )
    assert rows[1][3] == (
        "2026-03-29 02:30:00 does not exist in Europe/Berlin, because clocks are set forward."
        " Use another time, for example 2026-03-29 03:30:00+02:00."
    )
    assert rows[2][3] == (
        "2026-10-25 02:30:00 occurs twice in Europe/Berlin, because clocks are set back."
        " Add the UTC offset, as in 2026-10-25 02:30:00+02:00."
    )
    assert Course.objects.get(code="M-1").enrollment_opens_at == datetime(2026, 8, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["2026-08-01", "20260801", "2026-08-01 09.30", "2026-08-01 0930", "2026-W31-6 09:30"])
def test_a_timestamp_without_an_unambiguous_time_of_day_is_refused(run, cell):
    """Python reads a date as its midnight, and 09.30 as 9 h and 0.3 s."""
    _code, rows = run("courses", f"course_code,name,level,enrollment_closes_at\nM-1,A,advanced,{cell}\n")

    message = "Write the date and the time, as in 2026-08-01 09:00."
    assert rows == [("error", "invalid", "enrollment_closes_at", message)]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("=00123", "The value is a formula. Enter its result."),
        ("#REF!", "#REF! is the error value of a spreadsheet. Enter the value."),
        ("#DIV/0!", "#DIV/0! is the error value of a spreadsheet. Enter the value."),
        ("#NV", "#NV is the error value of a spreadsheet. Enter the value."),
        ("####", "#### is the error value of a spreadsheet. Enter the value."),
        ("NULL", "NULL means that there is no value, or marks a row of totals."),
        ("Total", "Total means that there is no value, or marks a row of totals."),
        ("A-\ufffd1", "Remove U+FFFD REPLACEMENT CHARACTER at position 3."),
    ],
)
def test_formulas_error_values_and_placeholders_are_refused_as_student_numbers(run, number, message):
    assert run("students", f"{STUDENTS}{number},Ada,Byron,\n") == (
        1,
        [("error", "invalid_identifier", "student_number", message)],
    )


def test_names_and_grades_with_lost_characters_or_error_values_are_refused(run):
    make_student(student_number="S-1")
    make_course(code="M-1")
    lost = (
        "A character was lost and replaced by U+FFFD REPLACEMENT CHARACTER at position 3. Enter the original character."
    )
    error = "#N/A is the error value of a spreadsheet. Enter the value."

    students = run("students", f"{STUDENTS}S-2,Zo\ufffd,#N/A,\n")
    grades = run("enrollments", "student_number,course_code,status,grade\nS-1,M-1,completed,#N/A\n")

    assert students == (
        1,
        [("error", "invalid; invalid", "given_name; family_name", f"{lost}; {error}")],
    )
    assert grades == (1, [("error", "invalid", "grade", error)])


# Email addresses


def test_swapped_email_addresses_are_saved_with_one_history_version_each(run):
    for number, email in (("A", "a@x.example"), ("B", "b@x.example")):
        make_student(student_number=number, email=email)

    code, rows = run("students", f"{STUDENTS}A,Ada,Byron,B@x.example\nB,Bea,Byron,a@x.example\n")

    assert (code, [row[0] for row in rows]) == (0, ["updated", "updated"])
    assert emails() == {"A": "B@x.example", "B": "a@x.example"}
    versions = Student.history.filter(history_type="~").order_by("student_number")
    assert list(versions.values_list("student_number", "email")) == [("A", "B@x.example"), ("B", "a@x.example")]


def test_an_email_address_passed_to_a_new_student_is_applied_in_both_row_orders(run):
    make_student(student_number="A", email="a@x.example")
    make_student(student_number="B", email="b@x.example")

    code, _rows = run(
        "students",
        f"{STUDENTS}C,Cy,Crane,a@x.example\nA,Ada,Byron,new@x.example\nB,Bea,Byron,\nD,Di,Dunn,b@x.example\n",
    )

    assert code == 0
    assert emails() == {"A": "new@x.example", "B": "", "C": "a@x.example", "D": "b@x.example"}


def test_a_student_cannot_take_an_email_address_whose_owner_keeps_it(run):
    for number in "ABC":
        make_student(student_number=number, email=f"{number.lower()}@x.example")

    code, rows = run(
        "students",
        f"{STUDENTS}N,Ni,Nash,a@x.example\nA,Ada,Byron,b@x.example\nB,Bea,Byron,c@x.example\nD,Di,Dunn,\n",
        on_error="skip",
    )

    taken = ("error", "unique", "email", "Another student has this email address.")
    assert (code, rows) == (2, [taken, taken, taken, ("created", "", "", "")])
    assert emails() == {"A": "a@x.example", "B": "b@x.example", "C": "c@x.example", "D": ""}


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_an_email_address_passed_across_chunks_is_applied_only_with_abort(run, monkeypatch, on_error):
    monkeypatch.setattr("bulk.importers.import_parts.CHUNK_SIZE", 2)
    make_student(student_number="A", email="a@x.example")
    make_student(student_number="B", email="b@x.example")

    code, rows = run(
        "students",
        f"{STUDENTS}A,Ada,Byron,b@x.example\nC,Cy,Crane,\nB,Bea,Byron,a@x.example\n",
        on_error=on_error,
    )

    if on_error == "abort":
        assert (code, [row[0] for row in rows]) == (0, ["updated", "created", "updated"])
        assert emails() == {"A": "b@x.example", "B": "a@x.example", "C": ""}
        last = Student.history.filter(history_type="~").order_by("student_number")
        assert list(last.values_list("student_number", "email")) == [("A", "b@x.example"), ("B", "a@x.example")]
    else:  # each chunk is a separate transaction
        assert (code, [row[0] for row in rows]) == (2, ["error", "created", "error"])
        assert emails() == {"A": "a@x.example", "B": "b@x.example", "C": ""}


@pytest.mark.parametrize("clashes", [1, 40])
def test_email_address_conflicts_cost_a_constant_number_of_queries(run, clashes):
    rows = [f"S-{n},Ada,Byron,{n % (80 - clashes)}@x.example\n" for n in range(80)]

    with CaptureQueriesContext(connection) as queries:
        code, told = run("students", STUDENTS + "".join(rows), on_error="skip")

    assert (code, [row[1] for row in told].count("unique")) == (2, clashes)
    assert len([query for query in queries if "SAVEPOINT" in query["sql"]]) < 40


def test_an_invalid_row_is_found_without_saving_every_row_singly(run):
    rows = [f"M-{n},A,advanced,2026-0{1 + n % 2}-01 08:00,2026-01-15 08:00\n" for n in range(60)]

    with CaptureQueriesContext(connection) as queries:
        code, told = run(
            "courses",
            "course_code,name,level,enrollment_opens_at,enrollment_closes_at\n" + "".join(rows),
            on_error="skip",
        )

    assert (code, [row[1] for row in told].count("dates_reversed")) == (2, 30)
    assert len([query for query in queries if "SAVEPOINT" in query["sql"]]) < 40


@pytest.mark.parametrize(("column", "field"), [("reason", "reason"), ("grade,status", "grade")])
def test_control_characters_in_reasons_and_grades_are_refused(run, column, field):
    make_student(student_number="S-1")
    make_course(code="M-1")

    _code, rows = run(
        "enrollments",
        f"student_number,course_code,{column}\nS-1,M-1,A\x07b,completed\n".replace(
            ",completed", ",completed" if "status" in column else ""
        ),
    )

    assert ("control_characters", field, "Control characters are not allowed. Remove them.") in [
        row[1:] for row in rows
    ]


def test_commands_refuse_a_dataset_with_control_characters(tmp_path):
    file = tmp_path / "file.csv"
    file.write_text(STUDENTS)

    with pytest.raises(CommandError, match="Control characters are not allowed"):
        call_command("import_students", str(file), dataset="a\x07b")
    with pytest.raises(CommandError, match="Give the name of the dataset"):
        call_command("import_students", str(file), dataset="\u200b")

    assert Import.objects.count() == 0


# Canvas and OneRoster


def test_canvas_users_are_active_according_to_their_status(run):
    code, _rows = run(
        "students",
        "user_id,login_id,first_name,last_name,email,status\n"
        "H-1,a,Ada,Byron,,active\nH-2,b,Bob,Adams,,deleted\nH-3,c,Cy,Crane,,Suspended\nH-4,d,Di,Dunn,,\n",
    )

    active = dict(Student.objects.values_list("student_number", "is_active"))
    assert (code, active) == (0, {"H-1": True, "H-2": False, "H-3": False, "H-4": True})


def test_an_unknown_status_is_refused_with_its_value(run):
    told = run("students", "user_id,first_name,last_name,status\nH-1,Ada,Byron,graduated\n")

    message = "graduated is not one of: active, inactive, suspended, deleted, tobedeleted."
    assert told == (1, [("error", "invalid_choice", "status", message)])


def test_oneroster_users_who_are_not_students_are_reported_and_not_imported(run):
    code, rows = run(
        "students",
        "sourcedId,status,enabledUser,givenName,familyName,role\n"
        "1,active,true,Ada,Byron,student\n2,active,true,Bob,Adams,teacher\n3,active,false,Cy,Crane,student\n"
        "4,tobedeleted,true,Di,Dunn,student\n",
    )

    assert (code, [row[0] for row in rows]) == (0, ["created", "skipped", "created", "created"])
    assert rows[1][3] == "The role teacher is not student."
    assert dict(Student.objects.values_list("student_number", "is_active")) == {"1": True, "3": False, "4": False}


def test_only_canvas_enrollments_of_students_take_a_seat(run):
    for number in range(1, 8):
        make_student(student_number=f"H-{number}")
    make_course(code="C-1", capacity=None)

    code, rows = run(
        "enrollments",
        "course_id,user_id,role,role_id,section_id,status\n"
        "C-1,H-1,student,,,active\n"
        "C-1,H-2,teacher,,,active\n"
        "C-1,H-3,Observer,,,active\n"
        "C-1,H-4,,17,,active\n"
        ",H-5,student,,S-1,active\n"
        "C-1,H-6,student,,,inactive\n"
        "C-1,H-7,student,,,concluded\n",
        on_error="skip",
    )

    assert (code, [row[:3] for row in rows]) == (
        2,
        [
            ("enrolled", "", ""),
            ("skipped", "", ""),
            ("skipped", "", ""),
            ("skipped", "", ""),
            ("error", "blank", "course_code"),
            ("error", "invalid_choice", "status"),
            ("error", "not_enrolled", ""),
        ],
    )
    assert rows[4][3] == "This row has only the section S-1. Add its course."
    assert list(StudentCourse.objects.values_list("student__student_number", flat=True)) == ["H-1"]


def test_canvas_courses_are_imported_with_the_level_option(run):
    text = "course_id,short_name,long_name,term_id,status\nC-1,M,Algebra,,active\nC-2,N,Number theory,,deleted\n"

    without, told = run("courses", text)
    code, _rows = run("courses", text, level="Introductory")

    message = (
        "Give the level of new courses in a column level or in the option level."
        " Levels: introductory, intermediate, advanced, graduate."
    )
    assert (without, told[0]) == (1, ("error", "blank", "level", message))
    courses = Course.objects.order_by("code").values_list("code", "name", "level", "is_active")
    assert (code, list(courses)) == (
        0,
        [("C-1", "Algebra", "introductory", True), ("C-2", "Number theory", "introductory", False)],
    )


def test_a_student_with_one_name_is_imported_from_either_column(run):
    code, rows = run("students", f"{STUDENTS}S-1,Sukarno,,\nS-2,,Suharto,\n")
    assert (code, [str(student) for student in Student.objects.order_by("pk")]) == (0, ["S-1 Sukarno", "S-2 Suharto"])

    code, rows = run("students", f"{STUDENTS}S-3,{ZERO_WIDTH},\u2060,\n")
    assert (code, rows) == (1, [("error", "blank", "family_name", "Give at least one name.")])


def test_undoing_an_import_restores_swapped_email_addresses(run):
    for number, email in (("A", "a@x.example"), ("B", "b@x.example")):
        make_student(student_number=number, email=email)
    run("students", f"{STUDENTS}A,Ada,Byron,b@x.example\nB,Bea,Byron,a@x.example\n")

    call_command("undo_import", str(Import.objects.get().pk))

    assert emails() == {"A": "a@x.example", "B": "b@x.example"}
    assert Student.history.filter(history_type="~").count() == 4


@pytest.mark.django_db(transaction=True)
def test_rows_inserted_by_another_transaction_are_detected_and_the_others_saved(run, monkeypatch):
    """Another transaction commits a number after the lookup of existing students and before the insert."""
    find = StudentImporter.find_existing

    def find_then_lose(self, rows):
        known = find(self, rows)
        if not Student.objects.filter(student_number="S-3").exists():
            make_student(student_number="S-3", email="first@x.example")
        return known

    monkeypatch.setattr(StudentImporter, "find_existing", find_then_lose)

    code, rows = run(
        "students",
        STUDENTS + "".join(f"S-{n},Ada,Byron,\n" for n in range(6)) + "S-9,Ada,Byron,FIRST@x.example\n",
        on_error="skip",
    )

    assert code == 2
    assert [row[:3] for row in rows] == [
        *[("created", "", "")] * 3,
        ("error", "conflict", ""),
        *[("created", "", "")] * 2,
        ("error", "unique", "email"),
    ]
