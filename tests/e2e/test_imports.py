"""A registrar imports a file in the system's Chromium: errors, correction, preview, confirmation, progress, undo."""

import pytest
from playwright.sync_api import expect

from bulk.jobs.worker import run_worker
from bulk.models import PROCESSING_STATES, Import
from students.models import StudentCourse
from tests.support.accessible import accessibility_violations
from tests.support.browser import NARROW, WIDE, browser, log_in, page, pytestmark, screenshot, screenshots
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

HEADER = "student_number,course_code,term,status,grade\n"


def let_a_worker_come_by():
    """
    Run the worker while the page polls the progress.

    SQLite in memory, which the tests use, fails where a file would wait for a lock; so it runs until nothing is left.
    """
    for _attempt in range(20):
        run_worker(keep_running=lambda: True, once=True)
        if not Import.objects.filter(state__in=PROCESSING_STATES).exists():
            return


def send(page, text):
    page.goto("/admin/bulk/import/add/")
    page.locator("#id_file").set_input_files({"name": "fall.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.get_by_role("button", name="Upload and preview").click()


def wait_for_state(page, state):
    expect(page.locator(".import-state")).to_contain_text("validating")
    let_a_worker_come_by()
    expect(page.locator(".import-state")).to_contain_text(state)


def test_a_registrar_uploads_corrects_confirms_watches_and_undoes_a_file(page):
    make_course(code="MATH-101", name="Calculus I")
    for number in ("S-1", "S-2"):
        make_student(student_number=number)
    log_in(page)

    send(page, HEADER + "S-9,MATH-101,,,\nS-2,MATH-999,,asleep,\n")
    wait_for_state(page, "failed")
    rows = page.locator(".import-table tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("There is no student number:S-9.")
    screenshot(page, "import-errors")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the 2 rows to correct").click()
    failed = download.value.path().read_text(encoding="utf-8-sig")
    assert failed.splitlines() == [HEADER.strip(), "S-9,MATH-101,,,", "S-2,MATH-999,,asleep,"]
    assert StudentCourse.objects.count() == 0

    send(page, HEADER + "S-1,MATH-101,,,\nS-2,MATH-101,,,\n")
    wait_for_state(page, "needs review")
    expect(page.locator(".import-summary")).to_have_text("2 would be enrolled. Nothing has been applied yet.")
    screenshot(page, "import-preview")
    assert StudentCourse.objects.count() == 0

    page.get_by_role("button", name="Apply 2 rows").click()
    expect(page.locator(".import-state")).to_contain_text("applying · 0 of 2 rows")
    screenshot(page, "import-progress")
    let_a_worker_come_by()
    expect(page.locator(".import-state")).to_contain_text("done · 2 of 2 rows")
    expect(page.get_by_role("link", name="Report of every row")).to_be_visible()
    screenshot(page, "import-done")
    assert StudentCourse.objects.open().count() == 2

    page.get_by_role("button", name="Undo this import").click()
    wait_for_state(page, "needs review")
    expect(page.locator(".import-summary")).to_have_text("2 would be undone. Nothing has been applied yet.")
    screenshot(page, "import-undo")
    assert StudentCourse.objects.open().count() == 2
    page.get_by_role("button", name="Undo 2 rows").click()
    expect(page.locator(".import-state")).to_contain_text("applying")
    let_a_worker_come_by()
    expect(page.locator(".import-summary")).to_have_text("2 undone.")
    assert StudentCourse.objects.open().count() == 0


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_the_good_rows_of_a_file_are_applied_after_its_errors_were_seen(page, view):
    make_course(code="MATH-101", name="Calculus I")
    make_student(student_number="S-1")
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)

    send(page, HEADER + "S-1,MATH-101,,,\nS-9,MATH-101,,,\n")
    wait_for_state(page, "needs review")
    summary = "1 row has errors, 1 would be enrolled. Nothing has been applied yet."
    expect(page.locator(".import-summary")).to_have_text(summary)
    expect(page.locator(".import-table .faulty")).to_have_text(["S-9"])
    screenshots(page, f"import-errors-{view}")
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert accessibility_violations(page) == []

    page.get_by_role("button", name="Apply the 1 good row").click()
    expect(page.locator(".import-state")).to_contain_text("applying")
    let_a_worker_come_by()
    expect(page.locator(".import-summary")).to_have_text("1 row has errors, 1 enrolled.")
    assert StudentCourse.objects.open().count() == 1


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_the_upload_form_shows_the_fields_of_the_chosen_kind_and_mode(page, view):
    make_term(code="2026F", name="Fall 2026")
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)
    page.goto("/admin/bulk/import/add/")

    expect(page.get_by_label("Term", exact=True)).to_be_visible()
    expect(page.get_by_label("Source")).to_be_hidden()
    page.get_by_text("Advanced").click()
    expect(page.get_by_label("Complete list of")).to_be_hidden()
    page.get_by_label("The file is the complete list").check()
    expect(page.get_by_label("Complete list of")).to_be_visible()
    assert accessibility_violations(page) == []

    page.locator("#id_file").set_input_files({"name": "students.csv", "mimeType": "text/csv", "buffer": b"x"})
    expect(page.get_by_label("Students", exact=True)).to_be_checked()
    expect(page.get_by_label("Chosen file")).to_have_value("students.csv")
    expect(page.get_by_label("Term", exact=True)).to_be_hidden()
    for label in ("Complete list of", "Level"):
        expect(page.get_by_label(label)).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("link", name="Template for students").click()
    assert download.value.path().read_text(encoding="utf-8-sig").startswith("student_number,given_name")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
