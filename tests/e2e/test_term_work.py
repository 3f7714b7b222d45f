"""Cancelling a course, copying the courses of a term, and earlier days, in a browser."""

import re
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from bulk.models import Import
from courses.models import Course
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import StudentCourse
from tests.support.browser import browser, log_in, page, pytestmark, screenshot
from tests.support.factories import make_course, make_student, make_term

__all__ = ["browser", "page", "pytestmark"]


def test_a_registrar_cancels_a_course_and_restores_it(page, actor):
    course = make_course(code="ART-7", name="Etching", capacity=1, waitlist_capacity=5)
    for _number in range(3):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)

    log_in(page)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    page.get_by_role("link", name="Cancel course").click()
    expect(page.get_by_text("Enrolled: 1. Waitlisted: 2.")).to_be_visible()
    page.get_by_label("Reason").fill("Too few students")
    screenshot(page, "cancel-course")
    page.get_by_role("button", name="Cancel course").click()
    expect(page.get_by_text("is cancelled.")).to_be_visible()
    assert StudentCourse.objects.open().count() == 0

    page.get_by_role("link", name="Undo the cancellation").click()
    screenshot(page, "cancel-undo")
    page.get_by_role("button", name="Undo the cancellation").click()
    expect(page.get_by_text(re.compile("The cancellation of .* is undone."))).to_be_visible()
    assert StudentCourse.objects.open().count() == 3


def test_a_registrar_submits_a_copy_of_courses(page):
    source, target = make_term(code="2026F"), make_term(code="2027F")
    make_course(term=source)

    log_in(page)
    page.goto(f"/admin/courses/term/{source.pk}/change/")
    page.get_by_role("link", name="Copy courses").click()
    page.get_by_label("To the term").select_option(str(target.pk))
    screenshot(page, "copy-courses")
    page.get_by_role("button", name="Show preview").click()
    expect(page).to_have_url(re.compile(r"/admin/bulk/import/\d+/change/"))
    assert (Import.objects.get().file_name, Course.objects.count()) == ("courses-2026F-2027F.csv", 1)


def test_a_registrar_exports_an_earlier_day(page, actor):
    course = make_course()
    enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    today = timezone.localdate()

    log_in(page)
    page.goto("/admin/students/studentcourse/")
    page.get_by_role("link", name="Export an earlier day").click()
    page.get_by_label("As of").fill((today + timedelta(days=2)).isoformat())
    page.get_by_role("button", name="Export as CSV").click()
    expect(page.get_by_text("This time is in the future.")).to_be_visible()
    screenshot(page, "export-as-of")
    page.get_by_label("As of").fill(today.isoformat())
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == "enrollments.csv"
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    page.get_by_label("As of").fill(today.isoformat())
    screenshot(page, "roster-as-of")
