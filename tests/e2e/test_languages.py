"""The dashboard, a list and forms in German and Spanish, in the system's Chromium."""

import pytest
from playwright.sync_api import expect

from bulk.models import Import
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, Student
from tests.support.browser import NARROW, browser, choose, log_in, page, pytestmark, screenshot
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

__all__ = ["browser", "page", "pytestmark"]


@pytest.fixture
def course(db):
    course = make_course(
        code="MATH-101", name="Calculus I", term=make_term(code="2026F"), capacity=2, waitlist_capacity=5
    )
    actor = ActorContext(Channel.SYSTEM)
    for number, name in enumerate(("Ada", "Mary", "Grace", "Joan")):
        student = make_student(student_number=f"S-{number}", given_name=name, family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    imported(ENROLLMENTS + "S-9,M-9,,,,\n")
    return course


@pytest.mark.parametrize(
    ("language", "name", "home", "students", "roster", "preview"),
    [
        (
            "de",
            "Deutsch",
            "Studierendensekretariat",
            "Studierende",
            "Teilnehmerliste",
            "Käme auf Platz 2 der Warteliste: Kein Platz ist frei.",
        ),
        (
            "es",
            "Español",
            "Registro académico",
            "Estudiantes",
            "Lista del curso",
            "Quedaría en lista de espera, en el puesto 2: no hay plazas libres.",
        ),
    ],
)
def test_the_admin_is_shown_in_other_languages(page, course, language, name, home, students, roster, preview):
    log_in(page)
    page.locator("#nav-sidebar").get_by_text("registrar", exact=True).click()
    screenshot(page, f"menu-{language}")
    page.get_by_role("button", name=name).click()

    expect(page.locator(f"html[lang={language}]")).to_be_attached()
    expect(page.get_by_role("heading", name=home)).to_be_visible()
    screenshot(page, f"home-{language}", whole=True)
    page.goto("/admin/students/student/")
    expect(page.locator("#nav-sidebar").get_by_role("link", name=students)).to_be_visible()
    screenshot(page, f"list-{language}", whole=True)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("link", name=roster)).to_be_visible()
    screenshot(page, f"course-{language}", whole=True)
    page.goto("/admin/students/studentcourse/add/")
    choose(page, "student", "S-3", "S-3 Joan Byron")
    choose(page, "course", "MATH", "MATH-101")
    expect(page.locator("#enroll-answer")).to_contain_text(preview)
    screenshot(page, f"form-{language}", whole=True)


def test_pages_show_the_long_words_of_german(page, course):
    language = "de"
    log_in(page)
    page.context.add_cookies([{"name": "django_language", "value": language, "url": page.url}])
    student, job = Student.objects.get(student_number="S-2"), Import.objects.get()
    for name, path in {
        "waitlist": f"/admin/courses/course/{course.pk}/change/?tab=waitlist",
        "timeline": f"/admin/courses/course/{course.pk}/change/?tab=timeline",
        "enrollments": "/admin/students/studentcourse/",
        "term": "/admin/courses/term/add/",
        "journal": "/admin/students/enrollmentevent/",
        "imports": "/admin/bulk/import/",
        "upload": "/admin/bulk/import/add/",
        "import": f"/admin/bulk/import/{job.pk}/change/",
        "student": f"/admin/students/student/{student.pk}/change/",
        "held": f"/admin/students/student/{student.pk}/personal-data/",
        "history": f"/admin/students/student/{student.pk}/history/",
    }.items():
        page.goto(path)
        expect(page.locator(f"html[lang={language}]")).to_be_attached()
        screenshot(page, f"{name}-{language}", whole=True)
    page.set_viewport_size(NARROW)
    page.goto("/admin/")
    screenshot(page, f"home-{language}-narrow", whole=True)
