"""Bulk actions on enrollments in the system's Chromium: the preview before the confirmation, and the result page."""

import pytest
from playwright.sync_api import Page, expect

from courses.models import Course
from students.enrollment import complete, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, StudentCourse
from tests.support.browser import NARROW, WIDE, browser, choose, log_in, page, pytestmark, screenshot
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

NAMES = ("Ada Byron", "Mary Somerville", "Grace Hopper", "Emmy Noether", "Sofja Kowalewskaja", "Hedy Lamarr")
SYSTEM = ActorContext(Channel.SYSTEM)


@pytest.fixture
def course(db):
    """Four seats, all taken, one of them by a completed enrollment; two students wait."""
    course = make_course(
        code="MATH-101", name="Calculus I", capacity=4, waitlist_capacity=9, term=make_term(code="2026F")
    )
    for number, name in enumerate(NAMES):
        given, family = name.split()
        student = make_student(student_number=f"S-{1001 + number}", given_name=given, family_name=family)
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=SYSTEM)
    return course


def screenshots(page: Page, name: str) -> None:
    """Take screenshots, wide and narrow, light and dark, and check for overflow. The page keeps its state."""
    for width, size in {"wide": WIDE, "narrow": NARROW}.items():
        page.set_viewport_size(size)  # type: ignore[arg-type]  # a TypedDict
        for colours in ("light", "dark"):
            # By the class and not by a reload, which would lose the content of the form.
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", colours == "dark")
            screenshot(page, f"{name}-{width}-{colours}", whole=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.evaluate("document.documentElement.classList.remove('dark')")


def cells(page: Page, card: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(f"#{card} tbody tr").all_inner_texts()]


def test_several_enrollments_are_dropped_with_promotions_shown_and_undone(page, course):
    ada = StudentCourse.objects.earliest("pk")
    complete(
        student_id=ada.student_id, course_id=course.pk, grade="A", actor=SYSTEM
    )  # Emmy keeps her seat, one seat is free
    log_in(page)
    page.goto(f"/admin/students/studentcourse/?course__id__exact={course.pk}")
    for name in NAMES[:3]:
        page.get_by_role("row", name=name).locator("input.action-select").check()
    page.get_by_label("Select action to run").select_option(label="Drop")
    page.get_by_role("textbox", name="Reason").fill("Left the university")
    page.get_by_role("button", name="Run", exact=True).click()

    expect(page.get_by_role("button", name="Drop 2 enrollments")).to_be_visible()
    assert [each.split("MATH")[0].strip() for each in cells(page, "changed")] == [
        "S-1002 Mary Somerville",
        "S-1003 Grace Hopper",
    ]
    assert [each.split("MATH")[0].strip() for each in cells(page, "promoted")] == ["S-1006 Hedy Lamarr"]
    assert "The enrollment is completed and cannot become dropped" in cells(page, "refused")[0]
    screenshots(page, "consequences")
    assert StudentCourse.objects.enrolled().count() == 4

    page.get_by_role("checkbox", name="S-1003 Grace Hopper").uncheck()
    page.get_by_role("button", name="Update preview").click()
    page.get_by_role("button", name="Drop 1 enrollment").click()

    expect(page.get_by_role("heading", name="Students who got a seat")).to_be_visible()
    screenshots(page, "result")
    assert StudentCourse.objects.get(student__family_name="Lamarr").status == "enrolled"

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("MATH-101 has no free seat.")).to_be_visible()
    page.get_by_label("Course is full").check()
    page.get_by_role("textbox", name="Reason").fill("It was somebody else")
    page.get_by_role("button", name="Update preview").click()
    expect(page.get_by_role("button", name="Undo last change of 1 enrollment")).to_be_visible()
    screenshots(page, "undo")
    page.get_by_role("button", name="Undo last change of 1 enrollment").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    assert StudentCourse.objects.get(student__family_name="Somerville").status == "enrolled"


def test_several_students_are_enrolled_after_the_pasted_lines_are_corrected(page, course):
    for number, name in ((2001, "Lise Meitner"), (2002, "Rosalind Franklin"), (2003, "Katherine Johnson")):
        given, family = name.split()
        make_student(student_number=f"S-{number}", given_name=given, family_name=family, is_active=number != 2003)
    physics = make_course(code="PHYS-100", name="Mechanics", capacity=2, waitlist_capacity=9, term=course.term)
    ada = StudentCourse.objects.earliest("pk").student
    enroll(student_id=ada.pk, course_id=physics.pk, actor=SYSTEM)
    before = StudentCourse.objects.count()
    log_in(page)
    page.get_by_role("link", name="Enroll many").click()
    expect(page.get_by_role("button", name="Show preview")).to_be_visible()
    screenshots(page, "enroll-many")
    choose(page, "one", "PHYS", "PHYS-100@2026F Mechanics")
    page.get_by_role("textbox", name="Students").fill(
        "S-2001\tLise Meitner\nS-20O2\tRosalind Franklin\nS-2003\tKatherine Johnson\nS-1001\tAda Byron\n"
    )
    page.get_by_label("If no seat is free").select_option(label="waitlist")
    page.get_by_role("button", name="Show preview").click()

    expect(page.get_by_text("There is no student number:S-20O2.")).to_be_visible()
    assert cells(page, "refused") == ["S-2003 Katherine Johnson This student is not active."]
    assert cells(page, "unchanged") == ["S-1001 Ada Byron enrolled Already enrolled."]
    screenshots(page, "enroll-many-lines")

    page.get_by_role("textbox", name="Instead of S-20O2").fill("S-2002")
    page.locator("#input-errors").get_by_role("button", name="Update preview").click()
    expect(page.locator("#input-errors")).to_have_count(0)
    assert cells(page, "changed") == [
        "S-2001 Lise Meitner enrolled",
        "S-2002 Rosalind Franklin waitlisted at 1",
    ]
    screenshots(page, "enroll-many-fixed")
    assert StudentCourse.objects.count() == before
    page.get_by_role("button", name="Enroll 2").click()

    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    screenshots(page, "enroll-many-result")
    assert StudentCourse.objects.count() == before + 2


def test_a_course_is_activated_with_promotions_shown_first(page, course):
    Course.objects.update(is_active=False, capacity=5)
    log_in(page)
    page.goto("/admin/courses/course/")
    page.get_by_role("row", name="MATH-101").locator("input.action-select").check()
    page.get_by_label("Select action to run").select_option(label="Make active")
    page.get_by_role("button", name="Run", exact=True).click()

    expect(page.get_by_role("heading", name="Students who will get a seat")).to_be_visible()
    screenshots(page, "activate")
    page.get_by_role("button", name="Make active: 1").click()
    expect(page.locator(".messagelist .success")).to_have_text("1 made active.")
    assert [each.split("MATH")[0].strip() for each in cells(page, "promoted")] == ["S-1005 Sofja Kowalewskaja"]

    page.goto("/admin/students/student/")
    page.get_by_role("row", name="S-1001").locator("input.action-select").check()
    page.get_by_label("Select action to run").select_option(label="Delete selected students")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("S-1001 Ada Byron (enrollments: 1)")).to_be_visible()
    screenshots(page, "delete")
