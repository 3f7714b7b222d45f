"""The pages of a course and of a student in the system's Chromium."""

import pytest
from playwright.sync_api import expect

from courses.models import Course
from school.models import PersonalDataAccess
from students.enrollment import drop, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, Student, StudentCourse
from tests.support.browser import NARROW, browser, choose, log_in, page, pytestmark, screenshot, use_dark_mode
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]

SYSTEM = ActorContext(Channel.SYSTEM)
NAMES = [
    "Ada Byron",
    "Mary Somerville",
    "Grace Hopper",
    "Rosa Parks",
    "Emmy Noether",
    "Lise Meitner",
    "Katherine Johnson",
]


@pytest.fixture
def course(db):
    """Five seats, all taken; two students wait; one has left."""
    term = make_term(code="2026F", name="Fall 2026", starts_on="2020-09-01", ends_on="2090-12-18")
    made = make_course(code="MATH-101", name="Calculus I", capacity=5, waitlist_capacity=10, term=term)
    for number, name in enumerate(NAMES):
        given, family = name.split()
        make_student(
            student_number=f"S-10{number}", given_name=given, family_name=family, email=f"{given}@example.edu".lower()
        )
    leaver = make_student(student_number="S-999", given_name="Hypatia", family_name="Theonis", email="")
    students = [leaver, *Student.objects.exclude(pk=leaver.pk).order_by("pk")]
    execute([EnrollmentCommand(Action.ENROLL, each.pk, made.pk, on_full=OnFull.WAITLIST) for each in students], SYSTEM)
    drop(student_id=leaver.pk, course_id=made.pk, actor=SYSTEM, reason="Moved away")
    return made


def test_a_student_is_found_and_enrolled_after_a_preview(page, course):
    make_course(code="ART-1", name="Painting", capacity=0, term=course.term)
    make_course(code="ART-2", name="Sculpture", capacity=3, term=course.term)
    maria = make_student(student_number="S-500", given_name="Maria", family_name="Merian", email="")
    log_in(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("merian")
    expect(page.locator("#command-results-list li").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Enroll in a course")).to_be_visible()
    answer = page.locator("#enroll-answer")
    enroll = page.get_by_role("button", name="Enroll", exact=True)

    choose(page, "course", "ART-1", "ART-1")
    expect(answer).to_contain_text("Would be refused")
    expect(answer.locator("li")).to_have_text("ART-1 has no free seat and no waitlist.")
    expect(enroll).to_be_disabled()
    screenshot(page, "box-refused")

    choose(page, "course", "MATH", "MATH-101")
    expect(answer).to_have_text("Would be waitlisted at 3: no seat is free.")
    screenshot(page, "box-waitlisted")
    assert StudentCourse.objects.filter(student=maria).count() == 0
    page.get_by_role("button", name="Add to waitlist").click()
    expect(page.locator(".messagelist")).to_contain_text("S-500 Maria Merian is waitlisted at 3 in MATH-101@2026F")
    expect(page.get_by_role("link", name="waitlisted at 3")).to_be_visible()

    choose(page, "course", "ART-2", "ART-2")
    expect(answer).to_have_text("Would be enrolled: a seat is free (1 of 3).")
    enroll.click()
    expect(page.locator(".messagelist")).to_contain_text("S-500 Maria Merian is enrolled in ART-2")
    screenshot(page, "student-enrolled")

    standing = {row.course.code: row.status for row in StudentCourse.objects.filter(student=maria)}
    assert standing == {"MATH-101": "waitlisted", "ART-2": "enrolled"}


def test_without_scripts_the_panel_shows_the_preview_on_a_separate_page(page, course):
    log_in(page)
    page.route("**/students/enroll_panel*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    maria = make_student(student_number="S-500", given_name="Maria", family_name="Merian", email="")
    choose(page, "student", "S-500", "Maria")
    page.get_by_role("button", name="Preview").click()

    expect(page.locator("#enroll-answer")).to_contain_text("Would be waitlisted at 3: no seat is free.")
    screenshot(page, "box-without-scripts")
    page.get_by_role("button", name="Add to waitlist").click()
    expect(page.locator(".messagelist")).to_contain_text("S-500 Maria Merian is waitlisted at 3 in MATH-101@2026F")
    assert StudentCourse.objects.get(student=maria).status == "waitlisted"


def test_email_addresses_are_copied_for_selected_students_or_for_all(page, course):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    copied = "navigator.clipboard.readText()"

    page.get_by_role("button", name="Copy all addresses (5)").click()
    expect(page.locator("[data-message]")).to_have_text("Addresses copied: 5.")
    assert len(page.evaluate(copied).split(", ")) == 5
    page.get_by_label("Select S-100").check()
    page.get_by_label("Select S-101").check()
    expect(page.locator(".page-chosen")).to_have_text("2 selected")
    page.get_by_role("button", name="Copy addresses (2)").click()
    expect(page.locator("[data-message]")).to_have_text("Addresses copied: 2.")
    screenshot(page, "addresses-copied")

    assert page.evaluate(copied) == "ada@example.edu, mary@example.edu"
    assert list(PersonalDataAccess.objects.values_list("subject", "course_id")) == [("roster", course.pk)] * 2
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")  # as without HTTPS
    page.get_by_role("button", name="Copy addresses (2)").click()
    expect(page.get_by_label("Addresses", exact=True)).to_have_value("ada@example.edu, mary@example.edu")
    page.get_by_label("Select all on this page").check()
    expect(page.locator(".page-chosen")).to_have_text("5 selected")


def test_selected_students_are_completed_and_promoted_after_a_preview(page, course):
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("button", name="Complete", exact=True)).to_be_disabled()
    page.get_by_label("Select S-100").check()
    page.get_by_label("Select S-101").check()
    page.get_by_role("textbox", name="Grade").fill("A")
    screenshot(page, "roster-chosen")
    page.get_by_role("button", name="Complete", exact=True).click()
    page.get_by_role("button", name="Complete 2 enrollments").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    completed = StudentCourse.objects.filter(status="completed").order_by("student__student_number")
    assert list(completed.values_list("student__student_number", "grade")) == [("S-100", "A"), ("S-101", "A")]

    Course.objects.filter(pk=course.pk).update(capacity=5, waitlist_capacity=None)
    late = [make_student(student_number=f"S-20{number}", email="") for number in range(3)]
    execute([EnrollmentCommand(Action.ENROLL, each.pk, course.pk, on_full=OnFull.WAITLIST) for each in late], SYSTEM)
    page.goto(f"/admin/courses/course/{course.pk}/change/?tab=waitlist")
    page.get_by_label("Select S-202").check()
    page.locator(".page-acts").get_by_role("textbox", name="Reason").fill("Needs it to graduate")
    screenshot(page, "waitlist-chosen")
    page.get_by_role("button", name="Give a seat now").click()
    page.get_by_role("button", name="Give a seat to 1 student").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    [event] = late[2].enrollments.get().events.filter(to_status="enrolled")
    assert (event.waived, event.reason) == (["course_full"], "Needs it to graduate")


def test_the_tabs_of_a_course_are_reached_by_keyboard(page, course):
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/")

    page.get_by_role("link", name="Roster 5").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Waitlist 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("td.number")).to_have_text(["1", "2"])
    page.get_by_role("link", name="Timeline").click()
    expect(page.get_by_text("Moved away")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("textbox", name="Name").fill("Calculus One")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Calculus One")
    expect(page.get_by_role("link", name="Settings")).to_have_attribute("aria-current", "page")


def test_the_roster_is_printed_without_screen_only_elements(page, course):
    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    page.get_by_role("link", name="Print").click()

    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    screenshot(page, "paper")
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    assert page.locator("thead th").all_inner_texts() == ["#", "Number", "Name", "Signature"]


@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_course_and_student_pages_are_shown_in_light_and_dark_mode(page, course, view):
    if view == "narrow":
        page.set_viewport_size(NARROW)
    log_in(page)
    of_course, student = f"/admin/courses/course/{course.pk}/change/", Student.objects.get(student_number="S-100")
    for name, path in {
        "roster": of_course,
        "waitlist": f"{of_course}?tab=waitlist",
        "timeline": f"{of_course}?tab=timeline",
        "settings": f"{of_course}?tab=form",
        "grades": f"/admin/courses/course/{course.pk}/grades/",
        "student": f"/admin/students/student/{student.pk}/change/",
        "paper": f"/admin/courses/course/{course.pk}/roster/",
    }.items():
        page.emulate_media(color_scheme="light")
        page.goto(path)
        screenshot(page, f"page-{name}-{view}-light", whole=True)
        if name != "paper":  # which is white
            use_dark_mode(page)
            screenshot(page, f"page-{name}-{view}-dark", whole=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
