"""Lists, search, timeline and home in the system's Chromium, on wide and on narrow screens."""

import pytest
from playwright.sync_api import expect

from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel
from tests.support.accessible import accessibility_violations
from tests.support.browser import NARROW, WIDE, browser, log_in, page, pytestmark, screenshots
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

SYSTEM = ActorContext(Channel.SYSTEM)
LISTS = {
    "enrollments": "/admin/students/studentcourse/",
    "courses": "/admin/courses/course/",
    "students": "/admin/students/student/",
    "journal": "/admin/students/enrollmentevent/",
    "imports": "/admin/bulk/import/",
    "refusals": "/admin/students/refusedact/",
}


@pytest.fixture
def course(db):
    course = make_course(
        code="MATH-101", name="Calculus I", capacity=2, waitlist_capacity=9, term=make_term(code="NOW")
    )
    make_course(code="OLD-1", name="Without a term")
    for number, name in enumerate(("Ada", "Mary", "Grace")):
        student = make_student(student_number=f"S-{number}", given_name=name, family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=course.pk, actor=SYSTEM, on_full=OnFull.WAITLIST)
    return course


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_the_running_term_is_a_chip_that_can_be_removed(page, course, view):
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)
    page.goto(LISTS["courses"])
    rows = page.locator("#result_list tr.data-row")

    expect(rows).to_have_count(1)
    expect(page.locator(".desk-chips li")).to_have_text(["Term: NOWclose"])
    page.get_by_role("link", name="Remove the filter Term").click()
    expect(rows).to_have_count(2)
    expect(page.locator(".desk-chips")).to_have_count(0)


@pytest.mark.parametrize("view", ["wide", "narrow"])
@pytest.mark.parametrize("name", LISTS)
def test_lists_fit_the_screen_and_are_accessible(page, course, name, view):
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)
    page.goto(LISTS[name])

    assert accessibility_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    screenshots(page, f"list-{name}-{view}")


def test_on_a_narrow_screen_rows_are_cards_of_two_lines_and_actions_stay_in_view(page, course):
    page.set_viewport_size(NARROW)
    log_in(page)
    page.goto(LISTS["enrollments"])
    card = page.locator("#result_list tr.data-row").first

    assert card.bounding_box()["height"] < 80
    name, badge = card.locator("th"), card.locator(".desk-badge")
    assert abs(name.bounding_box()["y"] - badge.bounding_box()["y"]) < 8
    page.locator("input.action-select").first.check()
    bar = page.locator("#changelist-actions")
    expect(bar).to_be_in_viewport()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(bar).to_be_in_viewport()
    assert accessibility_violations(page) == []


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_a_search_without_results_says_what_can_be_searched(page, course, view):
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("zebra")

    expect(page.locator("#command-results")).to_contain_text("No results for “zebra”")
    expect(page.locator("#command-results")).not_to_contain_text("seconds")
    assert accessibility_violations(page) == []


def test_one_status_has_one_color_in_badges_and_in_the_timeline(page, course):
    student = course.enrollments.filter(status="enrolled").earliest("pk").student
    drop(student_id=student.pk, course_id=course.pk, actor=SYSTEM)
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/?tab=timeline")
    color = """(status) => {
        const item = document.querySelector(`.page-timeline li.${status}`);
        const dot = getComputedStyle(item, "::before").backgroundColor;
        const probe = document.createElement("div");
        probe.className = `desk-tile ${status}`;
        document.body.append(probe);
        const tile = getComputedStyle(probe).borderInlineStartColor;
        probe.remove();
        return [dot, tile];
    }"""

    for status in ("enrolled", "waitlisted", "dropped"):
        dot, tile = page.evaluate(color, status)
        assert dot == tile


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_a_calm_home_page_has_one_line_and_a_footer(page, view):
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)

    expect(page.locator(".home-calm")).to_contain_text("Nothing needs attention.")
    expect(page.locator(".home-need")).to_have_count(0)
    page.get_by_role("link", name="Manual").click()
    expect(page.get_by_role("heading", name="Imports")).to_be_visible()
    assert accessibility_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_failed_login_has_one_message_and_dark_mode_dark_scroll_bars(page, course):
    page.goto("/")
    page.get_by_label("Username").fill("registrar")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator(".desk-message")).to_have_count(1)
    expect(page.locator(".desk-message")).to_contain_text("correct username and password")
    page.evaluate("document.documentElement.classList.add('dark')")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
