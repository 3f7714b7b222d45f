"""Imports through the API."""

import io
import json
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

from bulk.models import Import, OutcomePage
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, without_parts, work

pytestmark = pytest.mark.django_db

IMPORTS = "/api/v1/imports"


@pytest.fixture(autouse=True)
def world():
    make_course(code="M-1", capacity=2)
    for number in (1, 2, 3):
        make_student(student_number=f"S-{number}")


def send(client, text, **options):
    query = "&".join(f"{name}={value}" for name, value in {"kind": "enrollments", **options}.items())
    return client.post(f"{IMPORTS}?{query}", text, content_type="text/csv")


def test_a_file_is_sent_previewed_approved_reported_and_undone(api):
    answer = send(api, ENROLLMENTS + "S-1,M-1,,,,\nS-9,M-1,,,,\n", on_error="skip")
    assert (answer.status_code, answer.json()["state"]) == (202, "validating")
    address = answer["Location"]
    assert address.endswith(f"{IMPORTS}/{answer.json()['id']}")

    work()
    seen = api.get(address).json()
    assert (seen["state"], seen["counts"], seen["rows"]) == ("needs_review", {"enrolled": 1, "error": 1}, 2)
    assert StudentCourse.objects.count() == 0

    assert api.post(f"{address}/approve").status_code == 202
    work()
    seen = api.get(address).json()
    assert (seen["state"], seen["rows_done"], seen["approved_by"]) == ("done_with_errors", 2, "client:program 0")

    report = api.get(f"{address}/report", headers={"Accept": "text/csv"})
    enrollment = StudentCourse.objects.get()
    assert b"".join(report).decode().splitlines() == [
        "student_number,course_code,term,status,grade,reason,row,outcome,code,field,message,enrollment_id",
        f"S-1,M-1,,,,,2,enrolled,,,,{enrollment.pk}",
        "S-9,M-1,,,,,3,error,student_not_found,student_number,There is no student number:S-9.,",
    ]
    failed = api.get(f"{address}/failed-rows", headers={"Accept": "text/csv"})
    assert b"".join(failed).decode().splitlines() == [ENROLLMENTS.strip(), "S-9,M-1,,,,"]

    undo = api.post(f"{address}/undo")
    assert (undo.status_code, undo.json()["kind"], undo.json()["undoes"]) == (202, "undo", seen["id"])
    work()
    assert api.get(undo["Location"]).json()["counts"] == {"reversed": 1}
    assert api.get(address).json()["state"] == "undone"
    assert StudentCourse.objects.get().status == "dropped"


def test_the_json_report_has_the_cells_and_every_error(api):
    address = send(api, ENROLLMENTS + "S-9,M-9,,,,\n")["Location"]
    work()

    rows = api.get(f"{address}/report")

    assert rows["Content-Type"] == "application/json"
    [row] = json.loads(b"".join(rows))
    assert row == {
        "row": 2,
        "outcome": "error",
        "errors": [
            {"code": "student_not_found", "field": "student_number", "message": "There is no student number:S-9."},
            {"code": "course_not_found", "field": "course_code", "message": "There is no course code:M-9."},
        ],
        "note": "",
        "enrollment_id": None,
        "cells": dict(zip(ENROLLMENTS.strip().split(","), ["S-9", "M-9", "", "", "", ""], strict=True)),
    }


def test_a_file_is_accepted_as_multipart_form_data(api):
    file = SimpleUploadedFile("fall.csv", (ENROLLMENTS + "S-1,M-1,,,,\n").encode(), "text/csv")

    answer = api.post(IMPORTS, {"file": file, "kind": "enrollments", "review": "needed"}, format="multipart")
    work()

    assert (answer.status_code, answer.json()["file_name"]) == (202, "fall.csv")
    assert Import.objects.get().state == "done"


def test_a_second_import_of_a_dataset_is_a_conflict(api):
    first = send(api, ENROLLMENTS + "S-1,M-1,,,,\n").json()

    answer = send(api, ENROLLMENTS + "S-2,M-1,,,,\n")

    assert (answer.status_code, answer.json()["code"]) == (409, "import_in_progress")
    assert str(first["id"]) in answer.json()["detail"]


def test_the_same_file_again_returns_the_first_import(api):
    text = ENROLLMENTS + "S-1,M-1,,,,\n"
    first = send(api, text, review="needed").json()
    work()

    again = send(api, text, review="needed")
    asked = send(api, text, review="needed", again="true")
    work()

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert (asked.status_code, asked.json()["id"] > first["id"]) == (202, True)
    assert EnrollmentEvent.objects.count() == 1


def test_an_import_is_cancelled_before_its_review(api):
    address = send(api, ENROLLMENTS + "S-1,M-1,,,,\n")["Location"]
    work()

    answer = api.post(f"{address}/cancel")

    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert api.post(f"{address}/approve").json()["code"] == "import_not_possible"


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"kind": "teachers"}, "invalid_choice", "kind"),
        ({"colour": "red"}, "unknown_field", "colour"),
        ({"on_error": "shrug"}, "invalid_choice", "on_error"),
        ({"mode": "full"}, "invalid_scope", "scope"),
        ({"kind": "students", "term": "2026F"}, "unknown_option", "term"),
    ],
)
def test_an_invalid_option_is_a_400_with_its_field(api, options, code, field):
    answer = send(api, ENROLLMENTS, **options)

    assert answer.status_code == 400
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == [(code, field)]


def test_an_empty_optional_field_of_a_form_is_a_missing_one(api):
    """Browsers, and the page for trying out the API, send the empty fields of a form too."""
    empty = dict.fromkeys(("dataset", "mode", "scope", "on_error", "review", "again", "term", "on_full"), "")
    file = SimpleUploadedFile("fall.csv", ENROLLMENTS.encode())

    answer = api.post(IMPORTS, {"kind": "enrollments", "file": file, **empty}, format="multipart")
    unknown = api.post(IMPORTS, {"kind": "", "file": file, "colour": ""}, format="multipart")

    assert answer.status_code == 202
    assert [answer.json()[name] for name in ("dataset", "mode", "on_error", "review")] == [
        *("default", "delta", "abort", "always")
    ]
    assert unknown.status_code == 400
    assert {error["field"]: error["code"] for error in unknown.json()["errors"]} == {
        "kind": "blank",
        "colour": "unknown_field",
    }


def test_the_filter_of_the_kind_accepts_only_kinds(api):
    send(api, ENROLLMENTS)

    assert [len(api.get(f"{IMPORTS}?kind={kind}").json()["results"]) for kind in ("enrollments", "undo", "zip")] == [
        *(1, 0, 0)
    ]
    refused = api.get(f"{IMPORTS}?kind=teachers")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "kind")


def test_a_request_without_a_file_is_a_400(api):
    answer = api.post(f"{IMPORTS}?kind=students", {"kind": "students"}, format="multipart")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "file")


@override_settings(MAX_UPLOAD_BYTES=1_000)
def test_a_file_above_the_size_limit_is_a_413_and_is_not_stored(api):
    answer = send(api, ENROLLMENTS + "S-1,M-1,,,,\n" * 100)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert Import.objects.count() == 0


def test_a_body_with_an_excessive_content_length_is_refused_unread(api):
    answer = api.post(IMPORTS, io.BytesIO(b""), content_type="text/csv", CONTENT_LENGTH=str(2 << 30))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_full_disk_is_reported_and_nothing_is_stored(api, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bulk.import_file_store.zlib.compress", full_disk)

    answer = send(api, ENROLLMENTS)

    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert Import.objects.count() == 0


def test_a_file_waives_rules_only_for_a_client_with_the_scope(api, make_client):
    text = "student_number,course_code,waive,reason\nS-1,M-1,course_full,because\nS-2,M-1,course_full,so\n"
    make_course(code="M-2", capacity=0)
    text = text.replace("M-1", "M-2")
    ordinary = make_client("imports:write", "imports:read")

    send(ordinary, text, dataset="a")
    send(api, text, dataset="b")
    work()

    assert list(Import.objects.order_by("pk").values_list("state", "counts")) == [
        ("failed", {"error": 2}),
        ("needs_review", {"enrolled": 2}),
    ]


def test_a_list_of_twenty_imports_costs_the_queries_of_a_list_of_two(api, django_assert_max_num_queries):
    for number in range(3):
        send(api, ENROLLMENTS, dataset=str(number))

    with django_assert_max_num_queries(6):
        answer = api.get(IMPORTS)

    assert len(answer.json()["results"]) == 3
    assert len(api.get(f"{IMPORTS}?state=validating&dataset=1").json()["results"]) == 1


def test_stored_outcomes_are_small(api):
    course = make_course(code="BIG")
    numbers = [make_student().student_number for _ in range(300)]
    send(api, ENROLLMENTS + "".join(f"{number},{course.code},,,,\n" for number in numbers), review="needed")
    work()

    [page] = OutcomePage.objects.all()
    assert (page.counts, len(bytes(page.content)) < 300 * 10) == ({"enrolled": 300}, True)
    assert zlib.decompress(page.content)


def test_an_upload_with_an_idempotency_key_is_accepted_once_with_any_boundary(api):
    options = {"kind": "enrollments", "dataset": "night"}

    def upload(text, key):
        file = SimpleUploadedFile("fall.csv", text.encode(), "text/csv")
        return api.post(IMPORTS, {**options, "file": file}, format="multipart", headers={"Idempotency-Key": key})

    first, again = upload(ENROLLMENTS + "S-1,M-1,,,,\n", "a"), upload(ENROLLMENTS + "S-1,M-1,,,,\n", "a")
    other = upload(ENROLLMENTS + "S-2,M-1,,,,\n", "a")

    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert (again["Idempotency-Replayed"], again["Location"]) == ("true", first["Location"])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Import.objects.count() == 1


def test_the_etag_of_an_import_changes_with_its_progress(api):
    address = send(api, ENROLLMENTS + "S-1,M-1,,,,\n")["Location"]
    tag = api.get(address)["ETag"]
    waiting = api.get(address, headers={"If-None-Match": tag})
    work()

    assert (waiting.status_code, api.get(address, headers={"If-None-Match": tag}).status_code) == (304, 200)
    listed = api.get(IMPORTS)
    assert api.get(IMPORTS, headers={"If-None-Match": listed["ETag"]}).status_code == 304


def test_an_import_of_a_single_file_has_no_parts(api):
    send(api, ENROLLMENTS + "S-1,M-1,,,,\n")
    work()
    address = f"{IMPORTS}/{Import.objects.get().pk}"

    for name in ("report", "failed-rows"):
        for part in ("", "enrollments"):
            answer = api.get(f"{address}/{name}?part={part}")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_choice")


FAULTY = [
    "S-1,M-1,,enrolled,x",
    "S-1",
    "'=S-9,=1+1,,",
    '\'0099,"M, 1",,',
    "--,--,--,--",
    '"\t=S-8",M-1,,',
]


def test_failed_rows_are_returned_unchanged_and_fail_again_with_the_same_errors(api):
    header = "student_number,course_code,term,status"
    sent = "\n".join([header, *FAULTY, 'S-9,="M-1",,', "S-1,M-1,,"]) + "\n"
    first = send(api, sent, on_error="skip", review="needed")["Location"]
    work()
    failed = b"".join(api.get(f"{first}/failed-rows", headers={"Accept": "text/csv"})).decode()
    second = send(api, failed, on_error="skip", review="needed")["Location"]
    work()

    def refused(address):
        rows = json.loads(b"".join(api.get(f"{address}/failed-rows")))
        return [[error["code"] for error in row["errors"]] for row in rows]

    assert failed.splitlines()[:3] == [header, "S-1,M-1,,enrolled,x", "S-1"]
    assert failed.splitlines()[-1] == 'S-9,"=""M-1""",,'
    assert refused(first) == refused(second)
    assert refused(first)[:2] == [["ragged_row"], ["ragged_row"]]
    assert len(refused(first)) == len(FAULTY) + 1


def test_each_cell_of_the_report_has_a_unique_key(api):
    header = "student_number,Notes,course_code,Notes,,column 5"
    address = send(api, f"{header}\nS-9,a,M-1,b,c,d\nS-9,a,M-1,b,c,d,e,f\nS-9,,M-1\n")["Location"]
    work()

    rows = [row["cells"] for row in json.loads(b"".join(api.get(f"{address}/report")))]
    table = b"".join(api.get(f"{address}/report", headers={"Accept": "text/csv"})).decode().splitlines()

    keys = ["student_number", "Notes", "course_code", "Notes (column 4)", "column 5", "column 5 (column 6)"]
    assert rows[0] == dict(zip(keys, ["S-9", "a", "M-1", "b", "c", "d"], strict=True))
    assert rows[1] == {**rows[0], "column 7": "e", "column 8": "f"}
    assert rows[2] == dict(zip(keys, ["S-9", "", "M-1", "", "", ""], strict=True))
    assert table[2] == 'S-9,a,M-1,b,c,d,3,error,ragged_row,,"This row has 8 cells, but the header has 6.",,e,f'


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n\n", b"\xef\xbb\xbf,,,\n"])
@pytest.mark.parametrize("is_form", [True, False])
def test_an_empty_file_is_reported_for_a_raw_body_and_for_a_form(api, content, is_form):
    if is_form:
        form = {"file": SimpleUploadedFile("fall.csv", content, "text/csv"), "kind": "enrollments"}
        answer = api.post(IMPORTS, form, format="multipart")
    else:
        answer = api.post(f"{IMPORTS}?kind=enrollments", content, content_type="text/csv")
    work()

    job = Import.objects.get()
    problems = [{"code": "empty_file", "field": None, "message": "The file is empty."}]
    assert (answer.status_code, job.state, without_parts(job.problems)) == (202, "failed", problems)


def test_two_files_in_a_form_are_refused(api):
    files = [SimpleUploadedFile(name, ENROLLMENTS.encode(), "text/csv") for name in ("a.csv", "b.csv")]

    answer = api.post(IMPORTS, {"file": files, "kind": "enrollments"}, format="multipart")

    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (400, ["one_file"])
    assert Import.objects.count() == 0


@pytest.mark.parametrize("content_type", ["application/vnd.ms-excel", "application/octet-stream", "application/x-zip"])
def test_a_body_of_an_unsupported_type_is_refused_with_the_supported_types(api, content_type):
    answer = api.post(f"{IMPORTS}?kind=enrollments", ENROLLMENTS.encode(), content_type=content_type)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    for media_type in ("text/csv", "application/zip", "multipart/form-data"):
        assert media_type in answer.json()["detail"]


def test_content_beyond_the_known_columns_is_a_warning(api):
    address = send(api, "student_number,note,course_code\nS-1,x,M-1\nstudent_number,note,course_code\n")["Location"]
    work()

    assert api.get(address).json()["warnings"] == [
        {"code": "unknown_columns", "field": None, "message": "Ignored unknown columns: note"},
        {"code": "repeated_header", "field": None, "message": "Ignored rows that repeat the header: 3"},
    ]


@pytest.mark.parametrize(("asked", "mark"), [("true", "\ufeff"), ("false", ""), (None, "")])
@pytest.mark.parametrize("name", ["report", "failed-rows"])
def test_a_csv_download_has_a_byte_order_mark_on_request(api, name, asked, mark):
    address = send(api, ENROLLMENTS + "S-9,M-1,,,,\n")["Location"]
    work()
    query = {} if asked is None else {"bom": asked}

    found = b"".join(api.get(f"{address}/{name}", query, headers={"Accept": "text/csv"})).decode()

    assert found.startswith(f"{mark}student_number,")
    wrong = api.get(f"{address}/{name}", {"bom": "1"}, headers={"Accept": "text/csv"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "bom")
