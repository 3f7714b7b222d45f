"""The admin theme in the system's Chromium: content security policy, palette, light, dark and narrow pages."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, StudentCourse
from tests.support.browser import NARROW, browser, log_in, page, pytestmark, screenshot, use_dark_mode
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

__all__ = ["browser", "page", "pytestmark"]


@pytest.fixture
def crowd(db):
    course = make_course(code="MATH-101", name="Calculus I", term=make_term(code="2026F"))
    for number, name in enumerate(("Ada", "Mary", "Grace")):
        student = make_student(student_number=f"S-{number}", given_name=name, family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM))
    imported(ENROLLMENTS + "S-9,M-9,,,,\n")
    return course


def test_no_page_violates_the_content_security_policy(page, crowd):
    User.objects.filter(username="registrar").update(is_superuser=True)
    log_in(page)
    lists = page.eval_on_selector_all("#nav-sidebar a[href^='/admin/']", "links => links.map(link => link.pathname)")
    seen = set()
    for path in lists:
        page.goto(path)
        seen.add(path)
        rows = page.locator("#result_list tbody th a")
        forms = [rows.first.get_attribute("href")] if rows.count() else []
        forms += [f"{path}add/"] if page.locator(f"a[href^='{path}add/']").count() else []
        for form in forms:
            page.goto(form)
            seen.add(form)
            if page.get_by_role("link", name="History", exact=True).count():
                page.get_by_role("link", name="History", exact=True).first.click()
    for path in ("/admin/password_change/", f"/admin/courses/course/{crowd.pk}/delete/", "/problems/course_full"):
        page.goto(path)

    assert len(seen) >= 20


def test_a_student_is_found_from_any_page_by_keyboard(page, crowd):
    log_in(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("ada byr")
    expect(page.locator("#command-results-list li")).to_have_count(2)
    expect(page.locator("#command-results-list li").first).to_have_class(re.compile("active"))
    screenshot(page, "palette")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="S-0 Ada Byron")).to_be_visible()
    expect(page.get_by_role("heading", name="Enroll in a course")).to_be_visible()


def test_enter_before_the_results_opens_the_first_of_them_and_without_results_does_nothing(page, crowd):
    log_in(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("nobody")
    page.keyboard.press("Enter")
    expect(page.locator("#command-results-list")).to_contain_text("No results")
    page.keyboard.press("Enter")
    page.locator("#search-input-command").fill("")
    page.keyboard.type("ada byr")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="S-0 Ada Byron")).to_be_visible()


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_lists_and_forms_fit_the_window_in_light_and_dark_mode(page, crowd, view):
    if view == "narrow":
        page.set_viewport_size(NARROW)
    log_in(page)
    for name, path in {
        "list": "/admin/students/studentcourse/",
        "courses": "/admin/courses/course/",
        "course": f"/admin/courses/course/{crowd.pk}/change/",
        "enrollment": f"/admin/students/studentcourse/{StudentCourse.objects.latest('pk').pk}/change/",
        "journal": "/admin/students/enrollmentevent/",
        "upload": "/admin/bulk/import/add/",
    }.items():
        page.emulate_media(color_scheme="light")
        page.goto(path)
        screenshot(page, f"{name}-{view}-light", whole=True)
        use_dark_mode(page)
        screenshot(page, f"{name}-{view}-dark", whole=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_no_control_overflows_its_container(page, crowd):
    User.objects.filter(username="registrar").update(is_superuser=True)
    log_in(page)
    page.goto("/admin/auth/group/add/")
    card, chosen = page.locator("fieldset").first.bounding_box(), page.locator(".selector-chosen").bounding_box()
    assert card["x"] < chosen["x"] < chosen["x"] + chosen["width"] <= card["x"] + card["width"]

    page.set_viewport_size(NARROW)
    page.goto("/admin/students/studentcourse/")
    page.locator("input.action-select").first.check()
    page.get_by_label("Select action to run").select_option("complete")
    bar = page.locator("#changelist-actions")
    for each in (bar.get_by_label("Grade"), bar.get_by_label("Reason"), bar.get_by_role("button", name="Run")):
        box = each.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= NARROW["width"]
    page.goto(f"/admin/courses/course/{crowd.pk}/change/")
    expect(page.locator("h1").first).to_have_text(re.compile("MATH-101"))
    expect(page.locator(".desk-above").first).to_be_hidden()
