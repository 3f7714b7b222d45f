"""The interactive documentation of the API, in the system's Chromium: its examples can be sent as they are."""

from dataclasses import asdict
from datetime import date

import pytest
from django.conf import settings
from playwright.sync_api import Locator, Page, expect

from bulk.jobs.worker import run_worker
from courses.api_client_creation import create_api_client
from school.models import ApiClient
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.support.browser import browser, log_in, page, pytestmark, screenshot
from tests.support.contract import operations
from tests.support.factories import make_course, make_grade, make_grades, make_student, make_term
from webhooks.models import Endpoint

__all__ = ["browser", "page", "pytestmark"]

STUDENTS = b"student_number,given_name,family_name\nS-9002,Alan,Turing\n"
ENROLL = "post /api/v1/students/{student_id}/courses"


@pytest.fixture
def world(registrar):
    """The objects that the examples name, as in the demo data, but with a course that is always open."""
    course = make_course(code="MATH-101", term=make_term(code="2026F", ends_on=date(9000, 1, 31)))
    make_student(student_number="S-1042")
    make_grades()
    make_grade(code="A-", rank=9)
    enroll(student_id=make_student().pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM))


@pytest.fixture
def client():
    return create_api_client("portal", " ".join(settings.SCOPES))


def open_docs(page: Page) -> None:
    page.goto("/api/docs")
    expect(page.locator(".opblock")).to_have_count(len(list(operations())))


def authorize(page: Page, scheme: str, *values: str) -> None:
    """Paste values into the fields of a scheme in the dialog."""
    page.locator(".btn.authorize").click()
    form = page.locator(".auth-container").filter(has=page.get_by_role("heading", name=scheme))
    for field, value in zip(form.locator("input[type=text], input[type=password]").all(), values, strict=True):
        field.fill(value)
    form.locator("button.authorize").click()
    expect(form.get_by_text("Logout", exact=True)).to_be_visible()
    form.get_by_role("button", name="Close").click()


def try_out(page: Page, block: Locator) -> tuple[str, int]:
    """Send an operation as the page has filled it in; return its name and the status of the answer."""
    method = block.locator(".opblock-summary-method").inner_text().lower()
    path = block.locator(".opblock-summary-path").get_attribute("data-path")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    for file in block.locator("input[type=file]").all():
        file.set_input_files({"name": "students.csv", "mimeType": "text/csv", "buffer": STUDENTS})
        block.locator("tr[data-property-name=kind] select").select_option("students")
    with page.expect_response(lambda response: "/api/v1/" in response.url) as response:
        block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table")).to_be_visible()
    block.locator(".opblock-summary-control").click()
    return f"{method} {path}", response.value.status


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_every_operation_can_be_tried_out_with_a_pasted_token(page, world, client, page_errors):
    token = page.request.post("/oauth/token", form={"grant_type": "client_credentials", **asdict(client)}).json()
    open_docs(page)
    authorize(page, "bearerAuth", token["access_token"])

    answers = {}
    for block in page.locator(".opblock").all():
        name, status = try_out(page, block)
        answers[name] = status
        if "/imports" in name:
            run_worker(keep_running=lambda: True, once=True)
        if name == "delete /api/v1/webhooks/{id}":  # the examples of the following operations name it, too
            Endpoint.objects.create(pk=1, client=ApiClient.objects.get(), url="https://hooks.example/", kinds=[])
    screenshot(page, "api-docs")

    assert list(answers) == [name for name, _operation in operations()]
    # An import that is applied cannot be cancelled, and an enrollment that is completed cannot be dropped.
    assert {name: status for name, status in answers.items() if status >= 300} == {
        "post /api/v1/courses/{course_id}/cancel/undo": 409,
        "post /api/v1/imports/{id}/cancel": 409,
        "delete /api/v1/students/{student_id}/courses/{course_id}": 409,
    }
    assert [each for each in page_errors if "409" not in each] == []
    page_errors.clear()


def test_an_operation_can_be_tried_out_with_the_credentials_of_a_client(page, world, client):
    open_docs(page)
    authorize(page, "oauth2", client.client_id, client.client_secret)

    assert try_out(page, page.locator("#operations-students-students_courses_create")) == (ENROLL, 201)


def test_an_operation_can_be_tried_out_with_the_session_of_a_user(page, world):
    log_in(page)
    open_docs(page)

    assert try_out(page, page.locator("#operations-students-students_courses_create")) == (ENROLL, 201)
