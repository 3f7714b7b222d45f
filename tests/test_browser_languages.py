"""Home, a list and forms in German and Spanish, in the system's Chromium."""

import pytest
from playwright.sync_api import expect

from students.acts import OnFull, Origin
from students.enrollment import drop, enroll
from students.models import Channel
from tests.browser import NARROW, log_in, page, pytestmark, shot
from tests.bulk.work import ENROLLMENTS, imported
from tests.factories import make_course, make_student, make_term

__all__ = ["page", "pytestmark"]


@pytest.fixture
def course(db):
    course = make_course(
        code="MATH-101", name="Calculus I", term=make_term(code="2026F"), capacity=2, waitlist_capacity=5
    )
    origin = Origin(Channel.SYSTEM)
    for number, name in enumerate(("Ada", "Mary", "Grace", "Joan")):
        student = make_student(student_number=f"S-{number}", given_name=name, family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=course.pk, origin=origin, on_full=OnFull.WAITLIST)
    drop(student_id=student.pk, course_id=course.pk, origin=origin)
    imported(ENROLLMENTS + "S-9,M-9,,,,\n")
    return course


@pytest.mark.parametrize(
    ("language", "name", "home", "students", "roster", "refused", "back"),
    [
        (
            "de",
            "Deutsch",
            "Studierendensekretariat",
            "Studierende",
            "Teilnehmerliste",
            "hat keinen freien Platz",
            "Registrar's",
        ),
        ("es", "Español", "Registro académico", "Estudiantes", "Lista del curso", "no tiene plazas libres", ""),
    ],
)
def test_the_desk_in_another_language(page, course, language, name, home, students, roster, refused, back):
    log_in(page)
    page.locator("#nav-sidebar, aside").first.wait_for()
    page.locator(f'form:has(input[name="language"][value="{language}"]) button').evaluate("button => button.click()")

    expect(page.locator(f"html[lang={language}]")).to_be_attached()
    expect(page.get_by_role("heading", name=home)).to_be_visible()
    shot(page, f"home-{language}", whole=True)
    page.goto("/admin/students/student/")
    expect(page.get_by_role("link", name=students, exact=True).first).to_be_visible()
    shot(page, f"list-{language}", whole=True)
    page.goto(f"/admin/courses/course/{course.pk}/change/")
    expect(page.get_by_role("link", name=roster)).to_be_visible()
    shot(page, f"course-{language}", whole=True)
    for path in (
        *(f"/admin/courses/course/{course.pk}/change/?tab={tab}" for tab in ("waitlist", "timeline", "settings")),
        "/admin/students/studentcourse/",
        "/admin/students/studentcourse/add/",
        "/admin/students/student/add/",
        "/admin/courses/term/add/",
        "/admin/students/enrollmentevent/",
        "/admin/bulk/import/",
        "/admin/bulk/import/add/",
        f"/admin/bulk/import/{imported_pk()}/change/",
        f"/admin/students/student/{student_pk()}/change/",
        f"/admin/students/student/{student_pk()}/personal-data/",
        f"/admin/courses/course/{course.pk}/delete/",
        f"/admin/students/student/{student_pk()}/history/",
    ):
        page.goto(path)
        shot(page, f"{language}{path.replace('/', '-').replace('?', '-')}", whole=True)
    page.set_viewport_size(NARROW)
    page.goto("/admin/")
    shot(page, f"home-{language}-narrow", whole=True)


def imported_pk():
    from bulk.models import Import

    return Import.objects.latest("pk").pk


def student_pk():
    from students.models import Student

    return Student.objects.latest("pk").pk
