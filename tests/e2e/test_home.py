"""The dashboard in the system's Chromium: numbers that link to lists, in light and dark mode, wide and narrow."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from bulk.models import Import, State
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, RefusedAct
from tests.support.browser import NARROW, WIDE, browser, log_in, page, pytestmark, screenshot, use_dark_mode
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

COURSES = [
    # code, name, level, capacity, seats taken, waitlisted
    ("BIO-101", "Introduction to Biology", "introductory", 24, 24, 5),
    ("CS-101", "Introduction to Computer Science", "introductory", 30, 32, 3),
    ("MATH-101", "Calculus I", "introductory", 28, 21, 0),
    ("HIST-201", "Methods of History", "intermediate", 18, 18, 2),
    ("MUS-205", "Harmony and Counterpoint for Composers and Arrangers", "intermediate", 12, 9, 0),
    ("PHYS-301", "Topics in Physics", "advanced", 16, 13, 0),
    ("LAW-302", "Topics in Law", "advanced", 14, 14, 0),
    ("ART-401", "Seminar in Art History", "graduate", 8, 5, 0),
    ("PHIL-402", "Seminar in Philosophy", "graduate", None, 6, 0),
]


@pytest.fixture
def term(db):
    """A term that started 30 days ago: many students enroll before it starts, a few later, and some leave."""
    today = timezone.localdate()
    term = make_term(
        code="2026F", name="Fall 2026", starts_on=today - timedelta(days=30), ends_on=today + timedelta(days=90)
    )
    make_term(
        code="2027S", name="Spring 2027", starts_on=today + timedelta(days=91), ends_on=today + timedelta(days=200)
    )
    crowd = [make_student(student_number=f"S-{n}", given_name="Ada", family_name="Byron") for n in range(120)]
    made = {}
    for code, name, level, capacity, taken, waiting in COURSES:
        course = make_course(code=code, name=name, level=level, term=term, capacity=capacity, waitlist_capacity=20)
        made[code] = course
        for number, student in enumerate(crowd[: taken + waiting]):
            back = [44, 43, 42, 42, 41, 40, 39, 37, 36, 33, 30, 29, 26, 20, 12, 5, 1][(number * 7 + len(code)) % 17]
            over = (
                {"waived_codes": ["course_full"], "reason": "Needs it to graduate"}
                if (capacity or 99) <= number
                else {}
            )
            wish = {"on_full": OnFull.WAITLIST} if number >= taken else over
            actor = ActorContext(Channel.SYSTEM, at=timezone.now() - timedelta(days=back), may_waive=True)
            enroll(student_id=student.pk, course_id=course.pk, actor=actor, **wish)
    for number in range(5):
        actor = ActorContext(Channel.SYSTEM, at=timezone.now() - timedelta(days=number % 2))
        drop(student_id=crowd[number].pk, course_id=made["MATH-101"].pk, actor=actor)
    for number, codes in enumerate(["course_full"] * 6 + ["prerequisite_missing"] * 3 + ["enrollment_closed"]):
        course = made["BIO-101" if number < 4 else "LAW-302"]
        RefusedAct.objects.create(
            day=today, student=crowd[60 + number % 8], course=course, action="enroll", channel="api", codes=codes
        )
    Import.objects.create(kind="enrollments", dataset="sis", door="api", state=State.NEEDS_REVIEW)
    Import.objects.create(kind="students", dataset="crm", door="api", state=State.FAILED, counts={"error": 3})
    return term


def test_the_dashboard_links_to_the_lists_behind_its_numbers(page, term):
    log_in(page)

    for label, rows in {
        "import needs review": 1,
        "import with errors in the last 7 days": 1,
        "course over its capacity": 1,
        "students refused today": 10,
        "full courses": 4,
        "waitlisted": 10,
    }.items():
        page.goto("/admin/")
        page.locator(".home-need, .home-figures a").filter(has_text=label).click()
        expect(page.locator("#result_list tbody tr")).to_have_count(rows)

    page.goto("/admin/")
    page.locator(".home-seats tr", has_text="Graduate").get_by_role("link").nth(1).click()
    expect(page.locator("#result_list tbody tr")).to_have_count(11)

    page.goto("/admin/")
    page.get_by_text("As a table").click()
    day = page.locator(".home-days tbody tr").last
    number = day.get_by_role("link").first.inner_text()
    day.get_by_role("link").first.click()
    expect(page.locator("#result_list tbody tr")).to_have_count(int(number))

    page.goto("/admin/")
    page.get_by_role("link", name="2027S").click()
    expect(page.get_by_role("heading", name="Spring 2027")).to_be_visible()


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_the_dashboard_is_shown_in_light_and_dark_mode(page, term, view):
    page.set_viewport_size(NARROW if view == "narrow" else WIDE)
    log_in(page)

    screenshot(page, f"home-{view}-light", whole=True)
    use_dark_mode(page)
    screenshot(page, f"home-{view}-dark", whole=True)

    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
