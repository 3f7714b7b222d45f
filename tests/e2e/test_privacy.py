"""A student's personal data in the system's Chromium: shown, exported and erased."""

import json
from pathlib import Path

from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from courses.api_client_creation import create_api_client
from school.models import PersonalDataAccess
from students.models import Student
from tests.support.browser import NARROW, browser, log_in, page, pytestmark, screenshot, use_dark_mode
from tests.support.factories import make_student, make_term
from tests.support.imports import imported

__all__ = ["browser", "page", "pytestmark"]


def test_all_personal_data_is_exported_and_then_erased(page):
    imported("student_number,given_name,family_name,email\nS-1,Ada,Byron,\n", kind="students")
    student = Student.objects.get()
    User.objects.get(username="registrar").user_permissions.add(Permission.objects.get(codename="erase_student"))
    log_in(page)
    page.goto(f"/admin/students/student/{student.pk}/change/")
    page.get_by_role("link", name="Personal data").click()
    expect(page.get_by_role("heading", name="Stored data")).to_be_visible()
    screenshot(page, "personal-data", whole=True)

    page.locator("#id_format").select_option("json")
    page.locator("#id_reason").fill("asked for it")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    held = json.loads(Path(download.value.path()).read_text())
    page.set_viewport_size(NARROW)
    use_dark_mode(page)
    screenshot(page, "personal-data-narrow-dark", whole=True)
    page.locator("#id_erase_reason").fill("asked for it")
    page.locator("#id_erase_number").fill("S-1")
    page.get_by_role("button", name="Erase permanently").click()

    expect(
        page.get_by_text(f"The personal data was erased. The student is now called erased-{student.pk}.")
    ).to_be_visible()
    assert (held["student"]["family_name"], Student.objects.get().family_name) == ("Byron", "")
    assert [line.action for line in PersonalDataAccess.objects.order_by("pk")] == ["viewed", "exported", "erased"]


def test_a_client_is_revoked_on_the_access_page(page):
    User.objects.filter(username="registrar").update(is_superuser=True)
    make_term(code="2026F")
    create_api_client("portal", "students:read courses:read", terms=["2026F"])
    student = make_student(student_number="S-1")
    log_in(page)
    page.goto(f"/admin/students/student/{student.pk}/change/")
    page.get_by_role("link", name="admin_panel_settings Access").click()
    screenshot(page, "access", whole=True)
    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_role("heading", name="Revoke the access of portal?")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()

    expect(page.get_by_text("Access of portal is revoked. This takes effect within one minute.")).to_be_visible()
    page.set_viewport_size(NARROW)
    use_dark_mode(page)
    screenshot(page, "access-narrow-dark", whole=True)
