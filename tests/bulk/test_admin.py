"""Imports in the admin, as a registrar and as a viewer."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from bulk.models import Import, State
from students.models import StudentCourse
from tests.support.factories import make_course, make_student
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
