"""Zips with several files, and malicious zips."""

import io
import zipfile

import pytest
from django.test import override_settings

from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import start_undo
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel, State
from bulk.reports import Report
from courses.models import Course
from students.models import Student, StudentCourse
from tests.support.factories import make_term
from tests.support.imports import without_parts, work, worked_on

pytestmark = pytest.mark.django_db

STUDENTS = "student_number,given_name,family_name\nS-1,Ada,Byron\nS-2,Alan,Turing\n"
COURSES = "course_code,term,name,level\nM-1,2026F,Maths,introductory\n"
ENROLLMENTS = "student_number,course_code\nS-1,M-1\nS-2,M-1\n"


@pytest.fixture(autouse=True)
def fall():
    make_term(code="2026F")


def zipped(**files):
    return zipped_as({f"{name}.csv": text for name, text in files.items()})


def zipped_as(files, method=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    packed.seek(0)
    return packed


def imported(packed, **wish):
    given = {"kind": "zip", "channel": ImportChannel.API, "request_id": "r", "review": "needed", **wish}
    order = ImportRequest(**given)
    return worked_on(submit(packed, order))


def code_of(job):
    return job.state, job.problems[0]["code"]


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_the_files_of_a_zip_are_applied_in_the_order_of_their_references(on_error):
    job = imported(zipped(enrollments=ENROLLMENTS, classes=COURSES, students=STUDENTS), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"created": 3, "enrolled": 2})
    assert StudentCourse.objects.open().count() == 2


def test_with_abort_one_invalid_row_in_one_file_prevents_the_whole_zip():
    job = imported(zipped(students=STUDENTS, courses=COURSES, enrollments=ENROLLMENTS + "S-9,M-1\n"))

    assert code_of(job) == (State.FAILED, "rows_with_errors")
    assert (Student.objects.count(), Course.objects.count()) == (0, 0)


def test_a_zip_is_undone_in_reverse_order():
    job = imported(zipped(students=STUDENTS, courses=COURSES, enrollments="student_number,course_code\nS-1,M-1\n"))

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    # The enrolled student has history, and so has the course.
    assert undo.counts == {"reversed": 2, "kept": 2}
    assert list(Student.objects.values_list("student_number", flat=True)) == ["S-1"]


def test_the_report_of_a_zip_is_available_for_each_part(api, registrar_client):
    packed = zipped(students=STUDENTS, courses=COURSES, enrollments=ENROLLMENTS)
    address = api.post("/api/v1/imports?kind=zip", packed.read(), content_type="application/zip")["Location"]
    work()

    whole = api.get(f"{address}/report", headers={"Accept": "text/csv"})
    part = api.get(f"{address}/report?part=courses", headers={"Accept": "text/csv"})
    page = registrar_client.get(f"/admin/bulk/import/{address.rpartition('/')[2]}/change/").content.decode()

    assert (whole.status_code, whole.json()["errors"][0]["field"]) == (400, "part")
    assert b"".join(part).decode().splitlines()[1].startswith("M-1,2026F,Maths,introductory,2,created")
    assert api.get(f"{address}/report?part=teachers").status_code == 400
    assert api.get(f"{address}/report?part=").status_code == 400
    assert "?part=enrollments" in page


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"x" * 100_000])
def test_an_import_of_an_invalid_zip_fails_with_the_reason(content):
    job = imported(io.BytesIO(content))

    assert job.state == State.FAILED
    assert job.problems[0]["code"] in ("not_a_zip", "missing_file")


def test_an_import_of_a_zip_without_known_files_fails():
    assert code_of(imported(zipped(teachers="a,b\n"))) == (State.FAILED, "missing_file")


@override_settings(MAX_UNZIPPED_BYTES=1_000_000)
def test_a_zip_bomb_is_refused_by_its_declared_size():
    assert code_of(imported(zipped(students=STUDENTS + "\n" * 5_000_000))) == (State.FAILED, "zip_too_large")


@override_settings(MAX_UNZIPPED_BYTES=1_000_000)
def test_a_zip_bomb_with_a_false_size_is_refused_while_it_is_unpacked():
    honest = bytearray(zipped(students=STUDENTS + "x" * 5_000_000).read())
    size = (len(STUDENTS) + 5_000_000).to_bytes(4, "little")
    small = len(STUDENTS).to_bytes(4, "little")

    job = imported(io.BytesIO(bytes(honest).replace(size, small)))

    assert job.state == State.FAILED
    assert job.problems[0]["code"] in ("zip_too_large", "not_a_zip", "row_too_long", "malformed_csv")
    assert Student.objects.count() == 0


def test_a_zip_of_thousands_of_files_is_refused_unread():
    few, many = ({f"students-{n:05}.csv": "" for n in range(count)} for count in (1_000, 15_000))

    assert [code_of(imported(zipped_as(files))) for files in (few, many)] == [
        (State.FAILED, "missing_file"),
        (State.FAILED, "zip_too_large"),
    ]


def test_a_zip_directory_larger_than_memory_allows_is_refused_unread():
    packed = bytearray(zipped(students=STUDENTS).read())
    place = packed.rfind(b"PK\x05\x06")
    packed[place + 12 : place + 16] = (1 << 30).to_bytes(4, "little")

    assert code_of(imported(io.BytesIO(bytes(packed)))) == (State.FAILED, "zip_too_large")


def test_an_encrypted_zip_fails_with_the_reason():
    packed = bytearray(zipped(students=STUDENTS).read())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.find(signature) + offset] |= 1

    job = imported(io.BytesIO(bytes(packed)))

    said = "students.csv is encrypted. Send the zip without a password."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "not_a_zip"), said)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_file_with_an_unsupported_compression_is_refused_unread(method):
    job = imported(zipped_as({"students.csv": STUDENTS}, method))

    said = "The compression method of students.csv is not supported. Use Deflate, the default of most programs."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "not_a_zip"), said)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["students.csv", "users.csv"], "students.csv, users.csv"),
        (["students.csv", "old/students.csv"], "students.csv, old/students.csv"),
        (["students.csv", "Students.CSV"], "students.csv, Students.CSV"),
    ],
)
def test_two_files_of_one_kind_are_refused_and_both_are_named(names, said):
    job = imported(zipped_as(dict.fromkeys(names, STUDENTS)))

    message = f"The zip has more than one file of students: {said}. Send only one."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "duplicate_file"), message)
    assert Student.objects.count() == 0


@pytest.mark.parametrize(
    "name", ["export\\students.csv", "/students.csv", "../../students.csv", "a/b/STUDENTS.csv", "./students.csv"]
)
def test_a_file_is_found_in_any_folder_of_the_zip(name):
    assert imported(zipped_as({name: STUDENTS})).counts == {"created": 2}


def test_files_added_by_operating_systems_are_ignored_and_others_cause_a_warning():
    by_system = ["__MACOSX/students.csv", "__MACOSX/._students.csv", "._students.csv", "Thumbs.db", "x/desktop.ini"]
    files = {
        **dict.fromkeys(by_system, "\0junk"),
        "x/students.csv": STUDENTS,
        "teachers.csv": "a",
        "notes/read.me": "b",
    }

    job = imported(zipped_as(files))

    message = "Ignored files in the zip: teachers.csv, notes/read.me"
    assert (job.state, job.counts) == (State.DONE, {"created": 2})
    assert without_parts(job.warnings) == [{"code": "unread_files", "field": None, "message": message}]


def test_the_error_of_a_zip_without_known_files_lists_its_files():
    job = imported(zipped_as({"inner.zip": "PK", "teachers.csv": "a"}))

    message = "The zip has none of: terms.csv, grades.csv, students.csv, courses.csv, holds.csv, enrollments.csv."
    message += " Files in the zip: teachers.csv, inner.zip."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "missing_file"), message)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "The file is an Excel workbook (.xlsx). Save it as CSV UTF-8."),
        (["mimetype", "content.xml"], "The file is an OpenDocument file (.ods). Save it as CSV in UTF-8."),
        (
            ["[Content_Types].xml", "word/document.xml"],
            "The file is a Word document (.docx). Save the table as CSV in UTF-8.",
        ),
    ],
)
def test_the_error_for_a_document_sent_as_a_zip_names_its_type(names, said):
    job = imported(zipped_as(dict.fromkeys(names, "x")))

    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "missing_file"), said)


def test_every_message_begins_with_the_name_of_the_file():
    unreadable = imported(
        zipped_as({"students.csv": STUDENTS, "x/enrollments.csv": "student_number,term\nS-1,2026F\n"})
    )
    refused = imported(
        zipped_as({"users.csv": "user_id,first_name,last_name,note\nS-1,,,x\nS-2,Al\n"}), dataset="refused"
    )

    message = "x/enrollments.csv: Row 1: Columns missing in the header: course_code. This row was read as the header: "
    assert unreadable.problems[0]["message"] == f"{message}student_number | term."
    [part] = parts_of(refused)
    assert [[error[2] for error in told.errors] for _raw, told in Report(refused, part).rows()] == [
        ["users.csv: Give at least one name."],
        ["users.csv: This row has 2 cells, but the header has 4. Missing: family_name."],
    ]
    assert refused.warnings[0]["message"] == "users.csv: Ignored unknown columns: note"
