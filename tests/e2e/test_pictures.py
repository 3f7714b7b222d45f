"""The pictures of README.md and docs/registrar.md: SCREENSHOTS=docs takes them again, on demo data."""

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from courses.models import Course, Term
from students.demo import Size, make_demo
from students.enrollment import execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, RefusedAct, Student, StudentCourse
from tests.support.browser import browser, choose, log_in, page, pytestmark, screenshot, use_dark_mode
from tests.support.imports import ENROLLMENTS, imported

__all__ = ["browser", "page", "pytestmark"]

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PICTURES = {"desk-home", "desk-course", "desk-student", "desk-consequences", "desk-enroll-many"}
DAYS = 24


def test_every_picture_of_the_documentation_is_used_and_small():
    assert {path.stem for path in DOCS.glob("*.png")} == PICTURES
    assert [path.name for path in DOCS.glob("*.png") if path.stat().st_size > 200_000] == []
    page = (DOCS / "registrar.md").read_text()
    assert [name for name in PICTURES if f"({name}.png)" not in page] == []
    assert "(docs/desk-home.png)" in (DOCS.parent / "README.md").read_text()


@pytest.fixture
def term(db):
    """Demo data, and weeks in which students enroll, more of them lately, and a few leave or are refused."""
    dice = random.Random(7)
    make_demo(Size(1_500, 400, 12_000), now=timezone.now(), log=lambda line: None)
    term = Term.objects.latest("starts_on")
    students = list(Student.objects.values_list("pk", flat=True))
    courses = list(Course.objects.filter(term=term).values_list("pk", flat=True))
    for back in range(DAYS, 0, -1):
        actor = ActorContext(Channel.API, at=timezone.now() - timedelta(days=back))
        pairs = [(dice.choice(students), dice.choice(courses)) for _ in range(6 + (DAYS - back) * 2)]
        execute([EnrollmentCommand(Action.ENROLL, *pair, on_full=OnFull.WAITLIST) for pair in pairs], actor)
        leaving = StudentCourse.objects.filter(status="enrolled", course__term=term).order_by("pk")[back * 7 :: 211]
        execute([EnrollmentCommand(Action.DROP, row.student_id, row.course_id) for row in leaving], actor)
    for number, codes in enumerate(["course_full"] * 9 + ["prerequisite_missing"] * 4 + ["enrollment_closed"]):
        day = timezone.localdate()
        RefusedAct.objects.create(day=day, student_id=students[number], course_id=courses[number], codes=codes)
    imported(f"{ENROLLMENTS}S-1,ART-101,,,,\n")
    return term


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="who wants pictures sets SCREENSHOTS to a folder")
def test_the_pictures_of_the_documentation_are_taken(page, term):
    waited = StudentCourse.objects.filter(status="waitlisted", course__term=term).earliest("pk").course
    student = Student.objects.exclude(enrollments__course=waited).earliest("pk")
    page.set_viewport_size({"width": 1280, "height": 980})
    log_in(page)
    screenshot(page, "desk-home")
    page.set_viewport_size({"width": 1280, "height": 860})

    page.goto(f"/admin/students/student/{student.pk}/change/")
    choose(page, "course", waited.code, f"{waited.code}@{term.code}")
    expect(page.locator("#enroll-answer")).to_contain_text("Would be waitlisted at")
    screenshot(page, "desk-student")

    page.goto("/admin/students/studentcourse/enroll-many/")
    choose(page, "one", waited.code, f"{waited.code}@{term.code}")
    some = Student.objects.exclude(pk=student.pk).values_list("student_number", "given_name", "family_name")[:5]
    text = "\n".join("\t".join((number, f"{given} {family}")) for number, given, family in some)
    page.get_by_role("textbox", name="Students").fill(f"{text}\nS-10O7\tGrace Hopper\n")
    page.get_by_label("If no seat is free").select_option("waitlist")
    page.get_by_role("button", name="Show preview").click()
    expect(page.get_by_text("There is no student number:S-10O7.")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    screenshot(page, "desk-enroll-many")

    page.goto(f"/admin/courses/course/{waited.pk}/change/")
    for box in page.locator("tbody input[type=checkbox]").all()[:3]:
        box.check()
    page.locator(".page-acts").get_by_role("textbox", name="Reason").fill("Left the university")
    page.get_by_role("button", name="Drop", exact=True).click()
    expect(page.locator("#promoted tbody tr").first).to_be_visible()
    screenshot(page, "desk-consequences")

    page.goto(f"/admin/courses/course/{waited.pk}/change/?tab=waitlist")
    use_dark_mode(page)
    screenshot(page, "desk-course")
