"""Several files in one zip, and zips that mean harm."""

import io
import zipfile

import pytest
from django.test import override_settings

from bulk.models import Door, State
from bulk.pipeline import Order, receive, start_undo
from courses.models import Course
from students.models import Student, StudentCourse
from tests.bulk.work import work, worked_on
from tests.factories import make_term

pytestmark = pytest.mark.django_db

STUDENTS = "student_number,given_name,family_name\nS-1,Ada,Byron\nS-2,Alan,Turing\n"
COURSES = "course_code,term,name,level\nM-1,2026F,Maths,introductory\n"
ENROLLMENTS = "student_number,course_code\nS-1,M-1\nS-2,M-1\n"


@pytest.fixture(autouse=True)
def fall():
    make_term(code="2026F")


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.csv", text)
    packed.seek(0)
    return packed


def imported(packed, **wish):
    order = Order(**{"kind": "zip", "door": Door.API, "request_id": "r", "review": "needed", **wish})
    return worked_on(receive(packed, order))


def code_of(job):
    return job.state, job.problems[0]["code"]


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_its_files_are_applied_in_the_order_in_which_one_leads_to_the_other(on_error):
    job = imported(zipped(enrollments=ENROLLMENTS, classes=COURSES, students=STUDENTS), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"created": 3, "enrolled": 2})
    assert StudentCourse.objects.open().count() == 2


def test_one_bad_row_in_one_file_and_nothing_of_any_is_applied():
    job = imported(zipped(students=STUDENTS, courses=COURSES, enrollments=ENROLLMENTS + "S-9,M-1\n"))

    assert code_of(job) == (State.FAILED, "rows_with_errors")
    assert (Student.objects.count(), Course.objects.count()) == (0, 0)


def test_it_is_taken_back_in_the_other_order():
    job = imported(zipped(students=STUDENTS, courses=COURSES, enrollments="student_number,course_code\nS-1,M-1\n"))

    undo = worked_on(start_undo(job.pk, door=Door.API, request_id="u"))

    # Who was enrolled has history, and so has the course.
    assert undo.counts == {"reversed": 2, "kept": 2}
    assert list(Student.objects.values_list("student_number", flat=True)) == ["S-1"]


def test_its_report_is_had_part_by_part(api, registrars_desk):
    packed = zipped(students=STUDENTS, courses=COURSES, enrollments=ENROLLMENTS)
    address = api.post("/api/v1/imports?kind=zip", packed.read(), content_type="application/zip")["Location"]
    work()

    whole = api.get(f"{address}/report", headers={"Accept": "text/csv"})
    part = api.get(f"{address}/report?part=courses", headers={"Accept": "text/csv"})
    page = registrars_desk.get(f"/admin/bulk/import/{address.rpartition('/')[2]}/change/").content.decode()

    assert (whole.status_code, whole.json()["errors"][0]["field"]) == (400, "part")
    assert b"".join(part).decode().splitlines()[1].startswith("M-1,2026F,Maths,introductory,2,created")
    assert api.get(f"{address}/report?part=teachers").status_code == 400
    assert api.get(f"{address}/report?part=").status_code == 400
    assert "?part=enrollments" in page


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"x" * 100_000])
def test_what_is_no_zip_has_failed_with_the_reason(content):
    job = imported(io.BytesIO(content))

    assert job.state == State.FAILED
    assert job.problems[0]["code"] in ("not_a_zip", "missing_file")


def test_a_zip_without_a_file_that_is_known_has_failed():
    assert code_of(imported(zipped(teachers="a,b\n"))) == (State.FAILED, "missing_file")


@override_settings(MAX_UNZIPPED_BYTES=1_000_000)
def test_a_bomb_is_refused_by_what_it_says_of_its_size():
    assert code_of(imported(zipped(students=STUDENTS + "\n" * 5_000_000))) == (State.FAILED, "zip_too_large")


@override_settings(MAX_UNZIPPED_BYTES=1_000_000)
def test_a_bomb_that_lies_about_its_size_is_refused_by_what_comes_out():
    honest = bytearray(zipped(students=STUDENTS + "x" * 5_000_000).read())
    size = (len(STUDENTS) + 5_000_000).to_bytes(4, "little")
    small = len(STUDENTS).to_bytes(4, "little")

    job = imported(io.BytesIO(bytes(honest).replace(size, small)))

    assert job.state == State.FAILED
    assert job.problems[0]["code"] in ("zip_too_large", "not_a_zip", "row_too_long", "malformed_csv")
    assert Student.objects.count() == 0


def test_a_directory_that_would_fill_the_memory_is_refused_unread():
    packed = bytearray(zipped(students=STUDENTS).read())
    place = packed.rfind(b"PK\x05\x06")
    packed[place + 12 : place + 16] = (1 << 30).to_bytes(4, "little")

    assert code_of(imported(io.BytesIO(bytes(packed)))) == (State.FAILED, "zip_too_large")


def test_an_encrypted_file_has_failed_with_the_reason():
    packed = bytearray(zipped(students=STUDENTS).read())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.find(signature) + offset] |= 1

    assert code_of(imported(io.BytesIO(bytes(packed)))) == (State.FAILED, "not_a_zip")
