"""Imports in the admin, as a registrar and as a viewer."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from bulk.models import Import, State
from courses.models import Term
from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported, work

pytestmark = pytest.mark.django_db

IMPORTS = "/admin/bulk/import/"


@pytest.fixture(autouse=True)
def world():
    make_course(code="M-1")
    make_student(student_number="S-1")


def send(desk, text, **wish):
    form = {"kind": "enrollments", "on_error": "abort", "mode": "delta", "dataset": "default", "on_full": "reject"}
    file = SimpleUploadedFile("fall.csv", text.encode(), "text/csv")
    return desk.post(f"{IMPORTS}add/", {**form, "file": file, **wish}, follow=True)


def test_an_uploaded_file_is_applied_only_after_its_confirmation(registrar_client, registrar):
    page = send(registrar_client, ENROLLMENTS + "S-1,M-1,,,,\n")
    job = Import.objects.get()
    assert page.redirect_chain == [(f"{IMPORTS}{job.pk}/change/", 302)]
    work()
    assert StudentCourse.objects.count() == 0

    registrar_client.post(f"{IMPORTS}{job.pk}/approve/")
    work()

    job.refresh_from_db()
    assert (job.state, job.actor, job.approved_by, job.door) == (State.DONE, registrar, registrar, "admin")
    assert StudentCourse.objects.count() == 1


def test_a_second_upload_or_a_repeated_file_is_a_form_error(registrar_client):
    text = ENROLLMENTS + "S-1,M-1,,,,\n"
    send(registrar_client, text)

    second = send(registrar_client, ENROLLMENTS)
    work()
    registrar_client.post(f"{IMPORTS}{Import.objects.get().pk}/approve/")
    work()
    same = send(registrar_client, text)

    assert "is running. Try again when it has ended, or cancel it." in second.content.decode()
    assert "Select this option to apply the file again." in same.content.decode()
    assert Import.objects.count() == 1
    send(registrar_client, text, again="on")
    assert Import.objects.count() == 2


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"mode": "full"}, "The scope of an import has the form term:CODE"),
        ({"kind": "students", "term": "x"}, "have no option term"),
    ],
)
def test_invalid_import_options_are_form_errors(registrar_client, wish, said):
    page = send(registrar_client, ENROLLMENTS, **wish)

    assert (said in page.content.decode() or wish["kind"] == "students", Import.objects.count() <= 1) == (True, True)


def test_the_problems_of_an_import_are_listed_on_pages(registrar_client):
    job = imported(ENROLLMENTS + "S-9,M-9,,,,\n" * 150)

    first = registrar_client.get(f"{IMPORTS}{job.pk}/change/").content.decode()
    second = registrar_client.get(f"{IMPORTS}{job.pk}/change/?page=2").content.decode()

    assert (first.count("There is no student number:S-9."), second.count("There is no student number:S-9.")) == (
        100,
        50,
    )


def test_an_unreadable_file_has_a_page_with_the_reason(registrar_client):
    job = imported("nonsense\n")

    page = registrar_client.get(f"{IMPORTS}{job.pk}/change/")

    assert "Columns missing in the header: student_number, course_code." in page.content.decode()
    assert registrar_client.get(f"{IMPORTS}{job.pk}/report/").status_code == 404


def test_the_report_and_the_failed_rows_can_be_downloaded(registrar_client):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\nS-9,M-1,,,,\n", on_error="skip")

    report, failed = (
        b"".join(registrar_client.get(f"{IMPORTS}{job.pk}/{name}/")).decode() for name in ("report", "failed-rows")
    )

    assert [line.split(",")[7] for line in report.splitlines()[1:]] == ["enrolled", "error"]
    assert failed.splitlines() == [f"\ufeff{ENROLLMENTS.strip()}", "S-9,M-1,,,,"]
    assert report.startswith("\ufeffstudent_number,")


def test_a_viewer_can_view_imports_but_not_change_them(viewer, client):
    job = imported(ENROLLMENTS + "S-1,M-1,,,,\n", review="always")
    client.force_login(viewer)

    page = client.get(f"{IMPORTS}{job.pk}/change/")

    assert (page.status_code, "Confirm and apply" in page.content.decode()) == (200, False)
    assert client.post(f"{IMPORTS}{job.pk}/approve/").status_code == 403
    assert client.get(f"{IMPORTS}add/").status_code == 403
    assert client.get(IMPORTS).status_code == 200


@pytest.mark.parametrize("verb", ["approve", "undo", "cancel", "explode"])
def test_an_impossible_action_on_an_import_shows_a_message(registrar_client, verb):
    job = imported("nonsense\n")

    page = registrar_client.post(f"{IMPORTS}{job.pk}/{verb}/", follow=True)

    assert page.status_code == (404 if verb == "explode" else 200)
    assert ("cannot become" in page.content.decode()) == (verb != "explode")


@pytest.mark.parametrize("path", ["999/change/", "999/live/", "999/report/"])
def test_a_missing_import_or_file_is_404(registrar_client, path):
    assert registrar_client.get(f"{IMPORTS}{path}", follow=True).status_code in (200, 404)


def test_a_full_disk_is_reported_in_plain_language(registrar_client, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    registrar_client.raise_request_exception = False
    monkeypatch.setattr("django.core.files.uploadhandler.MemoryFileUploadHandler.file_complete", full_disk)

    page = send(registrar_client, ENROLLMENTS)

    assert (page.status_code, page.content.decode().partition(".")[0]) == (
        507,
        "The server has no disk space for this file",
    )
    assert Import.objects.count() == 0


def test_the_import_page_lists_the_ignored_parts_of_a_file(registrar_client):
    job = imported("student_number,note,course_code\nS-1,x,M-1\n")

    page = registrar_client.get(f"{IMPORTS}{job.pk}/change/").content.decode()

    assert "Ignored unknown columns: note" in page


def test_two_files_in_one_upload_are_a_form_error(registrar_client):
    files = [SimpleUploadedFile(name, ENROLLMENTS.encode(), "text/csv") for name in ("a.csv", "b.csv")]
    page = send(registrar_client, "", file=files)

    assert page.context["form"].errors.as_data()["file"][0].code == "one_file"
    assert Import.objects.count() == 0


@pytest.mark.parametrize("kind", ["terms", "grades", "students", "courses", "holds", "enrollments"])
def test_each_kind_has_a_template_that_can_be_imported(registrar_client, kind):
    make_term(code="2026F")
    make_course(code="MATH-101", term=Term.objects.get())
    make_student(student_number="S-1042", email="")

    template = b"".join(registrar_client.get(f"{IMPORTS}template-{kind}.csv")).decode("utf-8-sig")

    assert imported(template, kind=kind, review="dry_run").errors == 0
    assert registrar_client.get(f"{IMPORTS}template-unknown.csv").status_code == 404


def test_the_preview_is_one_table_with_the_faulty_cells_marked(registrar_client):
    make_student(student_number="S-2")
    send(registrar_client, ENROLLMENTS + "S-1,M-1,,,,\nS-9,M-1,,,,\nS-2,M-1,,asleep,,\n")
    work()

    job = Import.objects.get()
    page = registrar_client.get(f"{IMPORTS}{job.pk}/change/")
    text = " ".join(page.content.decode().split())

    assert job.state == State.NEEDS_REVIEW
    assert "2 rows have errors, 1 would be enrolled. Nothing has been applied yet." in text
    assert "Apply the 1 good row<" in text
    assert "Download the 2 rows to correct<" in text
    rows = page.context["table"].rows
    assert [(row.number, [cell.name for cell in row.cells if cell.is_faulty]) for row in rows] == [
        (3, ["student_number"]),
        (4, ["status"]),
    ]
    every = registrar_client.get(f"{IMPORTS}{job.pk}/change/?show=").context["table"]
    assert [(row.number, row.outcome) for row in every.rows] == [(2, "enrolled"), (3, "error"), (4, "error")]


def test_the_good_rows_are_applied_after_the_preview_and_undone_after_another(registrar_client):
    send(registrar_client, ENROLLMENTS + "S-1,M-1,,,,\nS-9,M-1,,,,\n")
    work()
    job = Import.objects.get()

    registrar_client.post(f"{IMPORTS}{job.pk}/approve/", {"on_error": "skip"})
    work()
    job.refresh_from_db()
    assert (job.state, StudentCourse.objects.open().count()) == (State.DONE_WITH_ERRORS, 1)

    registrar_client.post(f"{IMPORTS}{job.pk}/undo/")
    work()
    undo = Import.objects.get(undoes=job)
    page = " ".join(registrar_client.get(f"{IMPORTS}{undo.pk}/change/").content.decode().split())
    assert (undo.state, "Undo 1 row<" in page) == (State.NEEDS_REVIEW, True)
    assert StudentCourse.objects.open().count() == 1
    registrar_client.post(f"{IMPORTS}{undo.pk}/approve/")
    work()
    assert StudentCourse.objects.open().count() == 0


def test_a_complete_list_covers_the_chosen_term(registrar_client):
    make_term(code="2026F")
    send(registrar_client, ENROLLMENTS, mode="full", term="2026F")

    assert [(job.mode, job.scope, job.options["term"]) for job in Import.objects.all()] == [
        ("full", "term:2026F", "2026F")
    ]


def test_options_of_another_kind_or_mode_are_left_out(registrar_client):
    students = "student_number,given_name,family_name\n"
    send(registrar_client, students, kind="students", mode="full", scope="term:X", take_over="on", on_full="waitlist")

    assert [(job.mode, job.scope, job.options) for job in Import.objects.all()] == [("delta", "", {})]


@pytest.mark.parametrize("size", [2, 300])
def test_the_query_count_of_an_import_page_does_not_depend_on_its_rows(
    registrar_client, size, django_assert_max_num_queries
):
    job = imported(ENROLLMENTS + "".join(f"S-X{number},M-1,,,,\n" for number in range(size)), on_error="skip")
    registrar_client.get("/admin/password_change/")  # the first page of a session stores its start time

    with django_assert_max_num_queries(24):
        registrar_client.get(f"{IMPORTS}{job.pk}/change/?page=3")
