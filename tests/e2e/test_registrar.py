"""The work of a registrar, in the system's Chromium."""

from playwright.sync_api import Page, expect

from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, StudentCourse
from tests.support.browser import browser, choose, log_in, log_in_by_form, page, pytestmark, screenshot
from tests.support.factories import make_course, make_student

__all__ = ["browser", "page", "pytestmark"]


def fill_enroll_form(page: Page) -> None:
    page.goto("/admin/students/studentcourse/add/")
    choose(page, "student", "Byron", "S-1042 Ada Byron")
    choose(page, "course", "MATH", "MATH-101 Calculus I")
    expect(page.locator("#enroll-answer [data-kind]")).to_be_visible()


def test_the_first_empty_field_of_the_enroll_page_has_the_focus(page):
    student = make_student()
    log_in(page)

    page.goto("/admin/students/studentcourse/add/")
    expect(page.locator(".field-student .select2-selection")).to_be_focused()
    page.goto(f"/admin/students/studentcourse/add/?student={student.pk}")
    expect(page.locator(".field-course .select2-selection")).to_be_focused()


def test_a_registrar_logs_in_is_refused_enrolls_and_drops(page):
    make_student(student_number="S-1042", given_name="Ada", family_name="Byron")
    course = make_course(code="MATH-101", name="Calculus I", capacity=0)
    log_in_by_form(page)

    fill_enroll_form(page)
    expect(page.locator("#enroll-answer li")).to_have_text("MATH-101 has no free seat and no waitlist.")
    expect(page.get_by_role("button", name="Enroll")).to_be_disabled()
    screenshot(page, "refused")
    assert StudentCourse.objects.count() == 0

    course.capacity = 30
    course.save()
    fill_enroll_form(page)
    page.get_by_role("button", name="Enroll", exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text(
        "S-1042 Ada Byron is enrolled in MATH-101 Calculus I. Seats taken: 1 of 30. Undo"
    )
    assert StudentCourse.objects.get().status == "enrolled"

    page.goto(f"/admin/students/studentcourse/{StudentCourse.objects.get().pk}/change/")
    expect(page.get_by_role("button", name="Drop")).to_be_visible()
    screenshot(page, "enrollment")
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("button", name="Drop 1 enrollment").click()
    expect(page.locator("#changed tbody tr")).to_have_count(1)
    assert StudentCourse.objects.get().status == "dropped"


def test_a_registrar_completes_two_students_from_the_list_with_a_grade(page):
    course = make_course(code="MATH-101")
    for _ in range(2):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM))
    log_in(page)

    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("link", name="Roster 2")).to_be_visible()
    screenshot(page, "roster")
    page.get_by_role("link", name="All as a list").click()
    boxes = page.locator("input.action-select")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        box.check()
    page.get_by_label("Select action to run").select_option("complete")
    page.get_by_role("textbox", name="Grade").fill("A")
    screenshot(page, "action")
    page.get_by_role("button", name="Run", exact=True).click()

    page.get_by_role("button", name="Complete 2 enrollments").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    assert list(StudentCourse.objects.values_list("status", "grade")) == [("completed", "A")] * 2


def test_a_registrar_waitlists_a_student_waives_a_full_course_and_undoes_a_drop(page):
    ada = make_student(student_number="S-1042", given_name="Ada", family_name="Byron")
    holder = make_student(student_number="S-1", given_name="Mary", family_name="Somerville")
    course = make_course(code="MATH-101", name="Calculus I", capacity=1, waitlist_capacity=5)
    enroll(student_id=holder.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM))
    log_in(page)

    fill_enroll_form(page)
    expect(page.locator("#enroll-answer")).to_have_text("Would be waitlisted at 1: no seat is free.")
    screenshot(page, "enroll")
    page.get_by_role("button", name="Add to waitlist").click()
    expect(page.locator(".messagelist .success")).to_contain_text("is waitlisted at 1 in MATH-101 Calculus I.")
    screenshot(page, "waitlisted")

    fill_enroll_form(page)
    answer = page.locator("#enroll-answer")
    expect(answer).to_have_text("This student is already enrolled in MATH-101 or on its waitlist.")
    page.get_by_text("Waive rules").click()
    page.get_by_label("Course is full").check()
    expect(answer.locator("li")).to_have_text("A waiver requires a reason.")
    screenshot(page, "waiver-without-reason")
    page.get_by_role("textbox", name="Reason").fill("Needs it to graduate")
    expect(answer).to_have_text("Would be enrolled over capacity (2 of 1).")
    page.get_by_role("button", name="Enroll over capacity").click()
    expect(page.locator(".messagelist .success")).to_contain_text("Seats taken: 2 of 1.")
    assert StudentCourse.objects.get(student=ada).status == "enrolled"

    page.goto("/admin/courses/course/")
    screenshot(page, "courses")
    page.goto(f"/admin/courses/course/{course.pk}/change/?tab=timeline")
    expect(page.get_by_text("Needs it to graduate")).to_be_visible()
    screenshot(page, "course")

    page.goto(f"/admin/students/studentcourse/{StudentCourse.objects.get(student=holder).pk}/change/")
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("button", name="Drop 1 enrollment").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    page.goto(f"/admin/students/studentcourse/{StudentCourse.objects.get(student=ada).pk}/change/")
    page.get_by_role("button", name="Undo last change").click()
    page.get_by_role("button", name="Undo last change of 1 enrollment").click()
    expect(page.get_by_role("heading", name="Changes made")).to_be_visible()
    # Undoing the waiver puts the student back on the waitlist, where she gets the seat freed meanwhile.
    assert StudentCourse.objects.get(student=ada).status == "enrolled"
    page.goto(f"/admin/students/student/{ada.pk}/change/")
    screenshot(page, "student")


def test_swagger_ui_works_from_local_files(page):
    page.goto("/api/docs")

    expect(page.get_by_text("/api/v1/students/{student_id}/courses", exact=True).first).to_be_visible()
    screenshot(page, "docs")
