"""A registrar's work with 100,000 students, in the system's Chromium: by mouse, and by keyboard alone."""

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Locator, Page, expect

from courses.models import CourseStaff
from students.enrollment import execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, Student, StudentCourse
from tests.support.accessible import tab_to
from tests.support.browser import browser, choose, log_in, page, pytestmark, screenshot
from tests.support.factories import make_course, make_term
from tests.support.many_students import STUDENTS, insert_many_students

__all__ = ["browser", "page", "pytestmark"]

SYSTEM = ActorContext(Channel.SYSTEM)
SEATS, WAITING = 120, 12


def enroll_all(course, students):
    execute(
        [EnrollmentCommand(Action.ENROLL, each.pk, course.pk, on_full=OnFull.WAITLIST) for each in students], SYSTEM
    )


@pytest.fixture
def course(db):
    """A course of 120 seats among 40 others of the term: all seats are taken, and 12 students wait."""
    insert_many_students()
    term = make_term(code="2026F", name="Fall 2026", starts_on="2020-09-01", ends_on="2090-12-18")
    make_course(code="PHYS-201", name="Mechanics", term=term, capacity=0)
    for number in range(40):
        make_course(code=f"HIST-{100 + number}", name="History", term=term, capacity=60)
    made = make_course(code="MATH-101", name="Calculus I", term=term, capacity=SEATS, waitlist_capacity=50)
    enroll_all(made, Student.objects.order_by("pk")[: SEATS + WAITING])
    return made


def standing(number: str) -> dict[str, str]:
    rows = StudentCourse.objects.filter(student__student_number=number).select_related("course")
    return {row.course.code: row.status for row in rows}


def find(page: Page, words: str) -> Locator:
    """Type into the palette; return the results, best first."""
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type(words)
    found = page.locator("#command-results-list li")
    expect(found.first).to_be_visible()
    return found


def test_a_student_is_found_refused_waitlisted_and_promoted_after_bulk_drops(page, course):
    log_in(page)
    assert Student.objects.count() == STUDENTS
    page.goto("/admin/students/student/")
    page.get_by_placeholder("Type to search").first.fill("S-177777")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(find(page, "S-177777").first).to_contain_text("S-177777")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Enroll in a course")).to_be_visible()

    answer, enroll = page.locator("#enroll-answer"), page.locator("button[name=on_full]")
    choose(page, "course", "PHYS", "PHYS-201")
    expect(answer).to_contain_text("Would be refused")
    expect(enroll).to_be_disabled()
    choose(page, "course", "HIST-117", "HIST-117")
    expect(answer).to_have_text("Would be enrolled: a seat is free (1 of 60).")
    enroll.click()
    expect(page.locator(".messagelist")).to_contain_text("is enrolled in HIST-117")
    choose(page, "course", "MATH", "MATH-101")
    expect(answer).to_contain_text(f"Would be waitlisted at {WAITING + 1}")
    expect(enroll).to_have_text("Add to waitlist")
    screenshot(page, "crowd-student")
    enroll.click()
    expect(page.locator(".messagelist")).to_contain_text(f"is waitlisted at {WAITING + 1} in MATH-101")
    assert standing("S-177777") == {"HIST-117": "enrolled", "MATH-101": "waitlisted"}

    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("link", name=f"Waitlist {WAITING + 1}")).to_be_visible()
    for box in page.locator("tbody input[type=checkbox]").all()[: WAITING + 1]:
        box.check()
    screenshot(page, "crowd-roster")
    page.get_by_role("button", name="Drop", exact=True).click()
    expect(page.locator("#promoted tbody tr")).to_have_count(WAITING + 1)
    expect(page.locator("#promoted")).to_contain_text("S-177777")
    screenshot(page, "crowd-consequences", whole=True)
    page.get_by_role("button", name=f"Drop {WAITING + 1} enrollments").click()
    expect(page.get_by_role("heading", name="Students who got a seat")).to_be_visible()

    assert standing("S-177777") == {"HIST-117": "enrolled", "MATH-101": "enrolled"}
    assert StudentCourse.objects.filter(course=course, status="dropped").count() == WAITING + 1
    assert StudentCourse.objects.enrolled().filter(course=course).count() == SEATS


def test_course_staff_find_only_students_of_their_own_courses(page, course):
    teacher = User.objects.create_user("teacher", password="open sesame", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    CourseStaff.objects.create(course=course, user=teacher)
    log_in(page, "teacher")

    page.goto("/admin/courses/course/")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("button", name="Complete")).to_be_visible()
    assert page.get_by_role("button", name="Drop").count() == 0
    assert page.get_by_role("heading", name="Enroll a student").count() == 0
    results = page.request.get("/admin/search/?s=S-177777").text()
    assert results.count("S-177777") == results.count("No results for “S-177777”") == 1
    assert "/admin/students/" not in results


def test_a_workflow_is_completed_by_keyboard_with_visible_focus_at_each_step(page, course):
    page.goto("/")
    expect(page.get_by_label("Username")).to_be_visible()
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("registrar")
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type("open sesame")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Registrar's office")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#content').contains(document.activeElement)")

    find(page, "S-177777")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Enroll in a course")).to_be_visible()
    tab_to(page, page.get_by_role("combobox", name="Course"))
    page.keyboard.press("Enter")
    page.keyboard.type("HIST-117")
    expect(page.locator(".select2-results__option--highlighted")).to_contain_text("HIST-117")
    page.keyboard.press("Enter")
    expect(page.locator("#enroll-answer")).to_have_text("Would be enrolled: a seat is free (1 of 60).")
    tab_to(page, page.get_by_role("button", name="Enroll", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("is enrolled in HIST-117")
    assert standing("S-177777") == {"HIST-117": "enrolled"}

    find(page, "enrollments")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list")).to_be_visible()
    row = page.get_by_role("row", name="S-177777").locator("input.action-select")
    tab_to(page, row, max_steps=150)
    page.keyboard.press("Space")
    tab_to(page, page.get_by_label("Select action to run"), max_steps=1000)
    page.keyboard.type("Drop")
    tab_to(page, page.get_by_role("button", name="Run", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Drop 1 enrollment"), max_steps=150)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    assert standing("S-177777") == {"HIST-117": "dropped"}
