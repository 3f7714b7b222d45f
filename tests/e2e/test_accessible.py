"""
The tool axe-core finds no accessibility problem on any page, in light and in dark mode.

Every URL that shows a page to an administrator is checked; tests/security/test_admin_access.py keeps their list
complete. Pages after a form, and parts that open on a page, are reached as users reach them. Other roles see other
pages at the same URLs: their working pages are checked as each role, and so are the error pages.
"""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.template.loader import render_to_string
from django.test import Client
from django.urls import get_resolver
from playwright.sync_api import Page, expect

from courses.models import Course
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import StudentCourse
from tests.security.test_admin_access import ROLES, TABLE, World
from tests.support.accessible import accessibility_violations
from tests.support.browser import browser, choose, log_in, page, pytestmark, screenshots, start_session
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported

__all__ = ["browser", "page", "pytestmark"]

# URLs outside the admin: pages of School, and other ones: for clients, or pages of Swagger UI.
PLACES = {
    "": "leads to the admin",
    "admin/": "the admin",
    "language": "leads back",
    "problems/": "a page",
    "problems/<slug:code>": "a page",
    # tests/e2e/test_password_reset.py checks them.
    "admin/password-reset/": "a page, if mails are sent",
    "admin/password-reset/sent/": "a page, if mails are sent",
    "admin/password-reset/done/": "a page, if mails are sent",
    "admin/password-reset/<uidb64>/<token>/": "a page, if mails are sent",
    **dict.fromkeys(
        (
            *("api", "api/v1", "api/v1/", "api/schema", "ims/oneroster/", "oauth/token", "metrics"),
            ".well-known/oauth-authorization-server",
        ),
        "for programs",
    ),
    **dict.fromkeys(("health", "health/live", "health/ready"), "for programs"),
    "api/docs": "Swagger's",
}
# URLs of the admin that return no page: files, fragments, and missing objects.
NO_PAGES = {
    "<nowhere>",
    "bulk/import/<id>/failed-rows/",
    "bulk/import/<id>/live/",
    "bulk/import/<id>/report/",
    "bulk/import/template-<slug:kind>.csv",
    "courses/course/<id>/roster.csv",
    "courses/course/export/",
    "courses/grade/export/",
    "courses/term/export/",
    "jsi18n/",
    "students/hold/export/",
    "search/",
    "students/student/<id>/personal-data/export/",
    "students/student/export/",
    "students/studentcourse/export/",
}
PAGES = [route for route, get, _post in TABLE if get[0] == "+" and route not in NO_PAGES]

# The working pages of each role: dashboard, lists, and the pages of a course, a student and an enrollment.
DESK = {
    *("", "access/", "courses/course/", "courses/course/<id>/change/"),
    *("students/student/", "students/student/<id>/change/", "students/hold/"),
    *("students/studentcourse/", "students/studentcourse/<id>/change/"),
    *("students/enrollmentevent/", "students/refusedact/", "school/personaldataaccess/"),
}
HTML = "text/html; charset=utf-8"
GROUPS = {"registrar": "Registrar", "viewer": "Viewer", "teacher, own": "Course staff", "auditor": "Auditor"}


def test_every_url_outside_the_admin_is_classified_as_page_or_not():
    assert {str(each.pattern) for each in get_resolver().url_patterns} == set(PLACES)


class Busy(World):
    """The same data, and a full course with two waitlisted students."""

    full: Course


@pytest.fixture
def world(registrar, actor):
    User.objects.filter(pk=registrar.pk).update(is_superuser=True)
    world = Busy("OWN", registrar, actor)
    full = make_course(code="ART-1", name="Painting", capacity=1, waitlist_capacity=9)
    for number in range(3):
        student = make_student(student_number=f"S-{number}", given_name="Mary", family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=full.pk, on_full=OnFull.WAITLIST, actor=actor)
    world.full = full
    return world


def addresses(page: Page, world: Busy) -> Iterator[str]:
    """Open each page in the browser, and yield its name."""
    log_in(page)
    for route in PAGES:
        page.goto(world.address(route))
        yield route
    page.goto("/problems/course_full")
    yield "a problem"
    page.goto("/problems/")
    yield "all problems"


def states(page: Page, world: Busy) -> Iterator[str]:
    """Bring pages into the states that users reach, and yield their names."""
    yield from logins(page)
    log_in(page)
    yield from what_opens(page, world)
    yield from answers(page, world)
    yield from imports(page)


def logins(page: Page) -> Iterator[str]:
    page.goto("/admin/login/")
    yield "login"
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Username").fill("registrar")
    page.get_by_label("Password").fill("a guess")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username")).to_be_visible()
    yield "login refused"


def what_opens(page: Page, world: Busy) -> Iterator[str]:
    page.goto("/admin/")
    page.get_by_text("As a table").click()
    yield "home with the table of days"
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("byron")
    expect(page.locator("#command-results-list li").first).to_be_visible()
    yield "palette"
    course, student = world.full.pk, world.ids["students/student"]
    for tab in ("roster&status=dropped", "waitlist", "timeline", "form"):
        page.goto(f"/admin/courses/course/{course}/change/?tab={tab}")
        yield f"tab of a course: {tab}"
    for tab in ("timeline", "form"):
        page.goto(f"/admin/students/student/{student}/change/?tab={tab}")
        yield f"tab of a student: {tab}"
    page.goto(f"/admin/students/student/{student}/change/")
    choose(page, "course", "ART-1", "ART-1")
    expect(page.locator("#enroll-answer")).to_contain_text("Would be waitlisted at 3")
    yield "enroll box, waitlisted"
    page.goto(f"/admin/courses/course/{course}/grades/")
    page.get_by_role("textbox", name="Paste grades").fill("S-0 A\nS-9 B")
    page.get_by_role("button", name="Show preview").click()
    expect(page.get_by_role("heading", name="Lines to correct")).to_be_visible()
    yield "grade sheet with a preview"
    page.goto("/admin/courses/course/?q=ART")
    page.locator("input.action-select").first.check()
    yield "a list with a row marked"
    page.goto("/admin/students/studentcourse/")
    page.locator("input.action-select").first.check()
    page.get_by_label("Select action to run").select_option("complete")
    yield "enrollments with a row marked"


def answers(page: Page, world: Busy) -> Iterator[str]:
    page.goto("/admin/courses/course/add/")
    page.get_by_role("button", name="Save", exact=True).click()
    yield "a form with errors"
    page.goto("/admin/students/studentcourse/add/")
    choose(page, "student", "S-0", "S-0")
    choose(page, "course", "ART", "ART-1")
    expect(page.locator("#enroll-answer [data-kind]")).to_be_visible()
    yield "an enrollment refused"
    seated = StudentCourse.objects.get(course=world.full, status="enrolled")
    page.goto(f"/admin/students/studentcourse/{seated.pk}/change/")
    page.get_by_role("button", name="Drop").click()
    expect(page.get_by_role("button", name="Drop 1 enrollment")).to_be_visible()
    yield "consequences"
    page.get_by_role("button", name="Drop 1 enrollment").click()
    expect(page.get_by_role("heading", name="Students who got a seat")).to_be_visible()
    yield "result"
    page.goto("/admin/students/studentcourse/enroll-many/")
    choose(page, "one", "ART", "ART-1")
    text = "S-0\nS-1\nS-9\nOWN-S\n"  # one student was dropped, one is enrolled already, one does not exist, one is new
    page.get_by_role("textbox", name="Students").fill(text)
    page.get_by_role("button", name="Show preview").click()
    expect(page.get_by_text("There is no student number:S-9.")).to_be_visible()
    yield "many enrolled: what would happen"
    chosen = [("courses/course", "Make inactive"), ("students/student", "Delete selected students")]
    for name, action in [*chosen, ("students/student", "Place a hold"), ("students/hold", "Release")]:
        page.goto(f"/admin/{name}/")
        page.locator("input.action-select").first.check()
        page.get_by_label("Select action to run").select_option(label=action)
        page.get_by_role("button", name="Run", exact=True).click()
        yield f"before it is done: {action}"


def imports(page: Page) -> Iterator[str]:
    for name, row in {"preview": "S-0,ART-1,,dropped,,", "with errors": "S-9,ART-9,,,,", "empty": ""}.items():
        job = imported(f"{ENROLLMENTS}{row}\n", dataset=name)
        page.goto(f"/admin/bulk/import/{job.pk}/change/")
        yield f"import: {name}"
    page.goto("/admin/bulk/import/add/")
    page.get_by_role("button", name="Upload and preview").click()
    yield "import without a file"


def roles(page: Page, world: Busy) -> Iterator[str]:
    for role, group in GROUPS.items():
        user = world.teacher
        if role != "teacher, own":
            user = User.objects.create_user(group, is_staff=True)
            user.groups.add(Group.objects.get(name=group))
        start_session(page, user)
        for route in (route for route, get, _post in TABLE if route in DESK and get[ROLES.index(role)] == "+"):
            page.goto(world.address(route))
            yield f"{role}: {route}"


def refusals(page: Page, world: Busy) -> Iterator[str]:
    """Open the error pages, and yield their names."""
    page.goto("/admin/login/")
    page.context.clear_cookies()
    page.get_by_label("Username").fill("registrar")
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Form not accepted")).to_be_visible()
    yield "a form without its cookie"
    start_session(page, world.teacher)
    for path, title in {
        "/admin/auth/user/": "Not allowed",
        "/admin/nowhere/": "Not found",
        "/nowhere": "Not found",
        "/admin/students/student/?q=%00": "Malformed request",
    }.items():
        page.goto(path)
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        yield f"{title}: {path}"
    page.route(
        "**/broken", lambda route: route.fulfill(status=500, body=render_to_string("500.html"), content_type=HTML)
    )
    page.goto("/broken")
    expect(page.get_by_role("heading", name="An unexpected error occurred")).to_be_visible()
    yield "something went wrong"
    for _time in range(settings.AXES_FAILURE_LIMIT):
        Client().post("/admin/login/", {"username": "registrar", "password": "a guess"})
    page.context.clear_cookies()
    page.goto("/admin/login/")
    page.get_by_label("Username").fill("registrar")
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Too many failed logins")).to_be_visible()
    yield "locked"


def test_accessibility_problems_are_detected_in_light_and_dark_mode(page):
    page.goto("/admin/login/")
    page.evaluate("document.body.innerHTML = '<main><input><p>Nearly black</p></main>'")
    page.evaluate("document.querySelector('p').style.color = '#151515'")

    assert [told.split(" <")[0] for told in accessibility_violations(page)] == [
        "label:",
        "in dark mode, color-contrast:",
    ]


@pytest.mark.parametrize("led", [addresses, states, roles])
def test_no_page_has_serious_accessibility_problems(page, world, led):
    found = {}
    for where in led(page, world):
        found[where] = accessibility_violations(page)
        screenshots(page, f"{led.__name__} {where}")

    assert {where: told for where, told in found.items() if told} == {}


def test_no_error_page_has_serious_accessibility_problems(page, world, page_errors):
    found = {}
    for where in refusals(page, world):
        found[where] = accessibility_violations(page)
        screenshots(page, f"refusals {where}")
    complained = sorted(each.split(":")[0] for each in page_errors if "Failed to load" not in each)
    page_errors.clear()

    assert {where: told for where, told in found.items() if told} == {}
    assert complained == ["400", "403", "403", "404", "404", "429", "500"]
