"""Enrolling by the panel, acting from rows, and the grade sheet in the system's Chromium, wide and narrow."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import Page, expect

from courses.models import CourseStaff
from students.enrollment import execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, Student, StudentCourse
from tests.support.accessible import accessibility_violations
from tests.support.browser import NARROW, WIDE, browser, choose, log_in, page, pytestmark, screenshots
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

SYSTEM = ActorContext(Channel.SYSTEM)
PEOPLE = ("Ada Byron", "Mary Somerville", "Grace Hopper", "Emmy Noether", "Lise Meitner")
either_width = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "400"])


@pytest.fixture
def course(db):
    """A course with three seats, all taken; S-4 and S-5 wait. Its drop deadline has passed."""
    today = timezone.localdate()
    term = make_term(
        code="2026F",
        name="Fall 2026",
        starts_on=today - timedelta(days=60),
        ends_on=today + timedelta(days=60),
        drop_deadline=today - timedelta(days=30),
    )
    course = make_course(code="MATH-101", name="Calculus I", capacity=3, waitlist_capacity=9, term=term)
    for number, name in enumerate(PEOPLE, start=1):
        given, family = name.split()
        make_student(student_number=f"S-{number}", given_name=given, family_name=family)
    students = Student.objects.order_by("pk")
    execute(
        [EnrollmentCommand(Action.ENROLL, each.pk, course.pk, on_full=OnFull.WAITLIST) for each in students], SYSTEM
    )
    return course


@pytest.fixture
def maria(db):
    return make_student(student_number="S-500", given_name="Maria", family_name="Merian")


def check(page: Page, name: str) -> None:
    """Check the current page: nothing lies outside the screen, and axe finds nothing."""
    assert page.evaluate("document.documentElement.scrollWidth") <= (page.viewport_size or WIDE)["width"]
    assert accessibility_violations(page) == []
    screenshots(page, name)


def statuses() -> dict[str, str]:
    rows = StudentCourse.objects.select_related("student").order_by("pk")
    return {row.student.student_number: row.status for row in rows}


@either_width
def test_the_panel_follows_typing_and_the_first_click_enrolls_over_capacity(page, course, maria, size):
    page.set_viewport_size(size)
    log_in(page)
    page.goto(f"/admin/students/student/{maria.pk}/change/")
    answer, button = page.locator("#enroll-answer"), page.locator("button[name=on_full]")

    choose(page, "course", "MATH", "MATH-101")
    expect(answer).to_have_text("Would be waitlisted at 3: no seat is free.")
    expect(button).to_have_text("Add to waitlist")
    page.get_by_text("Waive rules").click()
    page.get_by_label("Course is full").check()
    expect(answer.locator("li")).to_have_text("A waiver requires a reason.")
    expect(button).to_be_disabled()
    page.get_by_role("textbox", name="Reason").press_sequentially("Needs it to graduate")
    expect(answer).to_have_text("Would be enrolled over capacity (4 of 3), ahead of 2 waiting students.")
    expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    check(page, f"panel-over-{size['width']}")
    button.click()

    told = page.locator(".messagelist")
    expect(told).to_contain_text("S-500 Maria Merian is enrolled in MATH-101@2026F Calculus I.")
    expect(told).to_contain_text("Seats taken: 4 of 3, waitlisted: 2.")
    check(page, f"panel-done-{size['width']}")
    told.get_by_role("link", name="Undo").click()
    page.get_by_role("button", name="Undo last change of 1 enrollment").click()
    expect(page.get_by_role("link", name="Back to S-500 Maria Merian")).to_be_visible()
    assert statuses()["S-500"] == "dropped"


def test_enter_enrolls_before_the_preview_has_arrived(page, maria):
    make_course(code="ART-1", name="Painting", capacity=5)
    log_in(page)
    page.goto(f"/admin/students/student/{maria.pk}/change/")
    choose(page, "course", "ART", "ART-1")
    page.get_by_role("textbox", name="Reason").fill("Transfer")
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("is enrolled in ART-1 Painting. Seats taken: 1 of 5.")
    assert StudentCourse.objects.get().events.get().reason == "Transfer"


def test_a_click_on_enroll_never_puts_a_student_on_the_waitlist(page, course, maria):
    log_in(page)
    page.goto(f"/admin/students/student/{maria.pk}/change/")
    page.route("**/enroll/", lambda route: (page.wait_for_timeout(800), route.continue_()))
    choose(page, "course", "MATH", "MATH-101")
    page.get_by_role("button", name="Enroll", exact=True).click()

    expect(page.locator("#enroll-answer")).to_have_text("Would be waitlisted at 3: no seat is free.")
    expect(page.get_by_role("button", name="Add to waitlist")).to_be_visible()
    assert "S-500" not in statuses()


@either_width
def test_the_home_button_opens_the_same_panel(page, course, maria, size):
    page.set_viewport_size(size)
    log_in(page)
    page.get_by_role("link", name="Enroll a student").click()
    choose(page, "student", "Merian", "S-500 Maria Merian")
    choose(page, "course", "MATH", "MATH-101")
    expect(page.locator("#enroll-answer")).to_have_text("Would be waitlisted at 3: no seat is free.")
    check(page, f"panel-home-{size['width']}")
    page.get_by_role("button", name="Add to waitlist").click()

    expect(page.locator(".messagelist")).to_contain_text("S-500 Maria Merian is waitlisted at 3 in MATH-101@2026F")
    assert statuses()["S-500"] == "waitlisted"


@either_width
def test_a_student_is_dropped_from_the_row_after_a_preview_that_says_why_withdrawn(page, course, size):
    page.set_viewport_size(size)
    ada = Student.objects.get(student_number="S-1")
    log_in(page)
    page.goto(f"/admin/students/student/{ada.pk}/change/")
    expect(page.locator(".page-head").get_by_role("heading", name="Ada Byron")).to_be_visible()
    check(page, f"student-rows-{size['width']}")
    page.get_by_role("link", name="Drop: MATH-101@2026F").click()
    expect(page.locator("#changed")).to_contain_text("because the drop deadline was")
    expect(page.locator("#promoted")).to_contain_text("S-4 Emmy Noether")
    check(page, f"drop-preview-{size['width']}")
    page.get_by_role("button", name="Drop 1 enrollment").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    address = page.url
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Course is full").check()
    page.get_by_role("textbox", name="Reason").fill("By mistake")
    page.get_by_role("button", name="Update preview").click()
    page.get_by_role("button", name="Undo last change of 1 enrollment").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()

    page.goto(address)
    expect(page.locator(".desk-message.info")).to_contain_text("by registrar.")
    expect(page.locator(".desk-message.info")).to_contain_text("By mistake")
    check(page, f"result-undone-{size['width']}")
    page.get_by_role("link", name="Back to S-1 Ada Byron").click()
    expect(page.get_by_role("heading", name="Enroll in a course")).to_be_visible()
    assert statuses() == {**dict.fromkeys(("S-1", "S-2", "S-3", "S-4"), "enrolled"), "S-5": "waitlisted"}


@either_width
def test_rows_of_the_course_page_act_and_the_bar_of_selected_students_stays_in_view(page, course, size):
    page.set_viewport_size(size)
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/?tab=waitlist")
    expect(page.get_by_role("link", name="Complete: S-4")).to_have_count(0)
    check(page, f"waitlist-rows-{size['width']}")
    page.get_by_role("link", name="Give a seat now: S-5").click()
    page.get_by_role("textbox", name="Reason").fill("Needs it")
    page.get_by_role("button", name="Update preview").click()
    page.get_by_role("button", name="Give a seat to 1 student").click()
    page.get_by_role("link", name="Back to MATH-101@2026F Calculus I").click()
    assert statuses()["S-5"] == "enrolled"

    page.get_by_role("link", name="Roster 4").click()
    seats = page.locator(".page-seats")
    expect(seats).to_contain_text("4 of 3 seats taken, 1 over capacity")
    expect(seats.locator(".page-waiting")).to_contain_text("1 waitlisted")
    page.get_by_label("Select S-1").check()
    expect(page.get_by_role("button", name="Drop", exact=True)).to_be_in_viewport()
    check(page, f"roster-selected-{size['width']}")


@either_width
def test_a_teacher_enters_and_pastes_grades_after_a_preview(page, course, size):
    page.set_viewport_size(size)
    teacher = User.objects.create_user("teacher", password="open sesame", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    CourseStaff.objects.create(course=course, user=teacher)
    log_in(page, "teacher")
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    page.get_by_role("link", name="Grades").click()
    check(page, f"grades-{size['width']}")
    page.get_by_label("Grade: S-1").fill("A")
    page.get_by_role("textbox", name="Paste grades").fill("S-2\tB+\nS-77\tC")
    page.get_by_role("button", name="Show preview").click()

    expect(page.locator("#changed tbody tr")).to_have_count(2)
    expect(page.locator("#input-errors")).to_contain_text("No student of this course has this number.")
    expect(page.get_by_label("Grade: S-1")).to_have_value("A")
    check(page, f"grades-preview-{size['width']}")
    assert set(statuses().values()) == {"enrolled", "waitlisted"}
    page.get_by_role("button", name="Apply 2 grades").click()
    expect(page.get_by_role("link", name="Back to the grades")).to_be_visible()

    graded = StudentCourse.objects.filter(status="completed").order_by("pk")
    assert list(graded.values_list("student__student_number", "grade")) == [("S-1", "A"), ("S-2", "B+")]


@either_width
def test_many_students_are_enrolled_from_numbers_names_and_addresses(page, course, maria, size):
    page.set_viewport_size(size)
    Student.objects.filter(pk=maria.pk).update(email="maria@example.edu")
    art = make_course(code="ART-1", name="Painting", term=course.term)
    text = "S-1  Ada Byron\nSomerville, Mary\nmaria@example.edu\nS-1\nS-3O\tGrace Hopper\nNobody Known"
    log_in(page)
    page.goto(f"/admin/students/studentcourse/enroll-many/?course={art.pk}")
    page.get_by_role("textbox", name="Students").fill(text)
    page.get_by_role("button", name="Show preview").click()

    expect(page.locator("#changed tbody tr")).to_have_count(3)
    expect(page.locator("#input-errors tbody tr")).to_have_count(2)
    expect(page.locator("#duplicates li")).to_have_text("Line 4: S-1, already in line 1")
    expect(page.get_by_role("textbox", name="Students")).to_have_value(text)
    check(page, f"many-{size['width']}")
    page.get_by_role("textbox", name="Instead of S-3O").fill("S-3")
    page.get_by_role("textbox", name="Instead of Nobody Known").fill("")
    page.get_by_role("checkbox", name="S-2 Mary Somerville").uncheck()
    page.locator("#input-errors").get_by_role("button", name="Update preview").click()

    expect(page.locator("#left-out tbody tr")).to_have_count(1)
    expect(page.locator("#input-errors")).to_have_count(0)
    expect(page.get_by_role("textbox", name="Students")).to_have_value(
        text.replace("S-3O", "S-3").replace("\nNobody Known", "\n")
    )
    page.get_by_role("button", name="Enroll 3").click()
    expect(page.get_by_role("link", name="Back to ART-1@2026F Painting")).to_be_visible()
    enrolled = StudentCourse.objects.filter(course=art).order_by("pk").values_list("student__student_number", flat=True)
    assert list(enrolled) == ["S-1", "S-500", "S-3"]
