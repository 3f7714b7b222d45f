"""Rows of stored files that name a person are found in any format, and are redacted in place."""

import io
import zipfile

import pytest

from bulk.import_file_store import CHUNK_BYTES, open_stored
from bulk.jobs.import_actions import start_undo
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel
from bulk.personal_data.identifiers import Identifiers
from bulk.personal_data.redaction import redact
from bulk.personal_data.search import matching_rows, person_rows, search
from tests.support.factories import make_course, make_student
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db

ADA = Identifiers({"S-1", "0042"}, {"Ada@x.example"})


def found_in(text):
    source = text if isinstance(text, bytes) else text.encode()
    traces = list(matching_rows(io.BytesIO(source), ADA))
    return [(trace.number, source[trace.start : trace.end]) for trace in traces]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("student_number,course_code\nS-1,A\nS-2,B\n", [(2, b"S-1,A\n")]),
        ("\ufeffstudent_number;email\nS-9;ADA@X.example", [(2, b"S-9;ADA@X.example")]),
        ('student_number,reason\nS-2,"two\nlines"\n"0042","S-1"\n', [(3, b'"0042","S-1"\n')]),
        ("student_number\r\n  S-1\u200b \r\n'=S-1\r\n", [(2, "  S-1\u200b \r\n".encode())]),
        ("student_number\n\nS-1\n", [(3, b"S-1\n")]),
        ("student_number\nS-10\n00421\nS-1 and S-2\n", []),
        (b"student_number,name\nS-1,caf\xe9\n", [(2, b"S-1,caf\xe9\n")]),
        ('student_number,name\nS-2,"a"b\nS-1,"never closed\nS-3,c\n', [(3, b'S-1,"never closed\nS-3,c\n')]),
        ("", []),
        ("student_number,course_code\rS-1,A\rS-2,B\r", [(2, b"S-1,A\r")]),
        ("\n,,\nstudent_number,course_code\nS-1,A\n", [(4, b"S-1,A\n")]),
        ("sep=;\nstudent_number;course_code\nS-1;A,B\n", [(2, b"S-1;A,B\n")]),
        ('student_number,course_code\nS-2,B\n "S-1" , "A\nB"\n', [(3, b' "S-1" , "A\nB"\n')]),
        ('student_number,course_code\n="0042",A\n', [(2, b'="0042",A\n')]),
        (
            "student_number,reason\nS-2,S-1;Ada\nS-2,Ada|0042\nS-2,B;1\n",
            [(2, b"S-2,S-1;Ada\n"), (3, b"S-2,Ada|0042\n")],
        ),
        ('student_number,reason\nS-2,"seat of\nS-1"\n', [(2, b'S-2,"seat of\nS-1"\n')]),
        ("S-2|Ada\nS-1|Bea\n", [(2, b"S-1|Bea\n")]),
    ],
)
def test_rows_that_name_a_person_are_found(text, found):
    assert found_in(text) == found


def stored_content(job):
    return open_stored(Import.objects.get(pk=job.pk)).read()


def test_a_row_is_redacted_in_place_and_the_others_stay():
    course = make_course(code="A")
    for number in ("S-1", "S-2"):
        make_student(student_number=number)
    text = 'student_number,course_code,reason\nS-1,A,"moved; Ünal"\nS-2,A,\nS-1,NONE,\n'
    job = imported(text, on_error="skip")
    before = outcomes(job)

    rows = redact(job, ADA)

    # A character of two bytes becomes two x, so that no other row moves.
    assert (
        stored_content(job).decode() == 'student_number,course_code,reason\nxxx,x,"xxxxx;xxxxxx"\nS-2,A,\nxxx,xxxx,\n'
    )
    assert (rows, outcomes(Import.objects.get(pk=job.pk))) == (2, before)
    assert course.enrollments.count() == 2


def test_stored_messages_of_a_redacted_row_are_emptied_and_codes_stay():
    job = imported("student_number,course_code\nS-1,NONE\nS-2,NONE\n")
    said = [list(row.errors) for row in person_rows(job, ADA)]

    redact(job, ADA)

    [row] = person_rows(job, Identifiers({"xxx"}, ()))
    assert said == [["There is no student number:S-1.", "There is no course code:NONE."]]
    assert (row.number, row.outcome, row.errors) == (2, "error", ["", ""])
    assert [number for number, _outcome, codes in outcomes(job) if codes] == [2, 3]


def test_a_redacted_row_is_removed_from_the_message_about_the_header():
    job = imported("S-1,A\nS-2,B\n")
    assert "S-1 | A" in job.problems[0]["message"]

    redact(job, ADA)

    assert [(problem["code"], problem["message"]) for problem in Import.objects.get(pk=job.pk).problems] == [
        ("missing_column", "")
    ]


def test_a_row_across_two_chunks_is_redacted_in_both():
    head = "student_number,course_code,reason\n"
    filler = f"S-2,A,{'z' * 999}\n"
    lines = (CHUNK_BYTES - len(head) - 10) // len(filler)
    rest = CHUNK_BYTES - len(head) - lines * len(filler) - 10
    own = f"S-1,{'A' * rest},over the edge\n"
    job = imported(head + filler * lines + own + filler)

    assert search(ADA).matches == [job.pk]
    assert redact(job, ADA) == 1
    assert search(ADA).matches == []
    assert stored_content(job).decode() == head + filler * lines + f"xxx,{'x' * rest},{'x' * 13}\n" + filler


def test_each_file_of_a_zip_is_searched_and_rewritten():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/students.csv", "student_number,given_name,family_name\nS-1,Ada,Byron\nS-2,Bob,Berg\n")
        archive.writestr("b/students.csv", "student_number,given_name,family_name\nS-3,Cleo,Kay\n")
        archive.writestr("readme.txt", "no table")
    job = imported_zip(packed)

    assert search(ADA).matches == [job.pk]
    assert redact(job, ADA) == 1
    with zipfile.ZipFile(open_stored(Import.objects.get(pk=job.pk))) as archive:
        assert {info.filename: archive.read(info).decode().partition("\n")[2] for info in archive.infolist()} == {
            "a/students.csv": "xxx,xxx,xxxxx\nS-2,Bob,Berg\n",
            "b/students.csv": "S-3,Cleo,Kay\n",
        }
    assert (search(ADA).matches, Import.objects.get(pk=job.pk).sha256) == ([], job.sha256)


def imported_zip(packed):
    packed.seek(0)
    return worked_on(submit(packed, ImportRequest("zip", ImportChannel.API, "r", review="needed")))


def test_an_invalid_zip_is_reported_as_not_searched():
    job = imported_zip(io.BytesIO(b"S-1 is in no zip"))

    assert (job.state, search(ADA)) == ("failed", ([], [job.pk], job.pk))


def test_rows_of_an_undo_without_a_file_are_found_and_redacted():
    make_course(code="A")
    make_student(student_number="S-1")
    job = imported("student_number,course_code\nS-1,A\n")
    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="r"))

    assert search(ADA).matches == [job.pk, undo.pk]
    assert [redact(undo, ADA), redact(job, ADA)] == [1, 1]
    assert search(ADA).matches == []


def test_a_discarded_file_is_not_searched():
    job = imported("student_number,course_code\nS-1,A\n")

    job.discard()

    assert (search(ADA).matches, list(person_rows(job, ADA))) == ([], [])
