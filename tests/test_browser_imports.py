"""A registrar imports a file in the system's Chromium: errors, correction, preview, confirmation, progress, undo."""

from playwright.sync_api import expect

from bulk.jobs.worker import run_worker
from bulk.models import PROCESSING_STATES, Import
from students.models import StudentCourse
from tests.browser import browser, log_in, page, pytestmark, screenshot
from tests.factories import make_course, make_student

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


def test_a_registrar_uploads_corrects_confirms_watches_and_undoes_a_file(page):
    make_course(code="MATH-101", name="Calculus I")
    for number in ("S-1", "S-2"):
        make_student(student_number=number)
    log_in(page)

    send(page, HEADER + "S-1,MATH-101,,,\nS-9,MATH-101,,,\nS-2,MATH-999,,asleep,\n")
    expect(page.locator(".import-state")).to_contain_text("validating")
    let_a_worker_come_by()
    expect(page.locator(".import-state")).to_contain_text("failed")
    problems = page.locator(".import-problems tbody tr")
    expect(problems).to_have_count(3)
    expect(problems.first).to_contain_text("There is no student number:S-9.")
    screenshot(page, "import-errors")
    with page.expect_download() as download:
        page.get_by_role("link", name="Failed rows").click()
    failed = download.value.path().read_text(encoding="utf-8-sig")
    assert failed.splitlines() == [HEADER.strip(), "S-9,MATH-101,,,", "S-2,MATH-999,,asleep,"]
    assert StudentCourse.objects.count() == 0

    send(page, HEADER + "S-1,MATH-101,,,\nS-2,MATH-101,,,\n")
    expect(page.locator(".import-state")).to_contain_text("validating")
    let_a_worker_come_by()
    expect(page.locator(".import-state")).to_contain_text("needs review")
    expect(page.locator(".import-counts")).to_contain_text("enrolled")
    screenshot(page, "import-preview")
    assert StudentCourse.objects.count() == 0

    page.get_by_role("button", name="Confirm and apply").click()
    expect(page.locator(".import-state")).to_contain_text("applying · 0 of 2 rows")
    screenshot(page, "import-progress")
    let_a_worker_come_by()
    expect(page.locator(".import-state")).to_contain_text("done · 2 of 2 rows")
    expect(page.get_by_role("link", name="Report of every row")).to_be_visible()
    screenshot(page, "import-done")
    assert StudentCourse.objects.open().count() == 2

    page.get_by_role("button", name="Undo this import").click()
    expect(page.locator(".import-state")).to_contain_text("validating")
    let_a_worker_come_by()
    expect(page.locator(".import-counts")).to_contain_text("reversed")
    screenshot(page, "import-undo")
    assert StudentCourse.objects.open().count() == 0
