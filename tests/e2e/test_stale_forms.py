"""Two sessions edit the same form of the admin, in the system's Chromium: the second save is refused."""

import re

from playwright.sync_api import expect

from courses.models import Course
from tests.support.accessible import accessibility_violations
from tests.support.browser import NARROW, WIDE, browser, log_in, page, pytestmark, screenshots
from tests.support.factories import make_course

__all__ = ["browser", "page", "pytestmark"]


def test_the_second_session_is_refused_reviews_the_changes_and_saves_again(page, live_server):
    course = make_course(code="MATH-101", name="Algebra", capacity=30)
    address = f"/admin/courses/course/{course.pk}/change/?tab=form"
    other = page.context.browser.new_context(base_url=live_server.url).new_page()
    for session in (page, other):
        log_in(session)
        session.goto(address)
    other.get_by_label("Capacity", exact=True).fill("45")
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.get_by_text("was changed successfully")).to_be_visible()

    page.get_by_label("Name").fill("Linear algebra")
    page.get_by_role("button", name="Save", exact=True).click()

    errors = page.locator(".errornote, .errorlist").filter(has_text="The object has changed since you read it")
    expect(errors.first).to_be_in_viewport()
    expect(page.get_by_text("Capacity is now: 45")).to_be_in_viewport()
    expect(page.get_by_label("Name")).to_have_value("Linear algebra")
    expect(page.get_by_label("Capacity", exact=True)).to_have_value("30")
    expect(page).to_have_title(re.compile(r"^MATH-101 Algebra \|"))
    assert Course.objects.get().name == "Algebra"
    screenshots(page, "outdated-form")
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert accessibility_violations(page) == []

    page.get_by_label("Capacity", exact=True).fill("45")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    course.refresh_from_db()
    assert (course.name, course.capacity) == ("Linear algebra", 45)
