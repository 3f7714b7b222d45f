"""A client generated from the committed OpenAPI document enrolls a student over HTTP."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tools.openapi import COMMITTED

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Generate the client package; a warning of the generator is an error."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.yaml"
    files = "{text/csv: application/octet-stream, application/zip: application/octet-stream}"
    config.write_text(f"post_hooks: []\ncontent_type_overrides: {files}\n")
    program = Path(sys.executable).parent / "openapi-python-client"
    command = [program, "generate", "--path", COMMITTED, "--meta", "none", "--config", config, "--fail-on-warning"]
    done = subprocess.run([*command, "--output-path", folder / "school_client"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"school_client.{name}")
    sys.path.remove(str(folder))


@pytest.fixture
def school(generated, live_server, api, caplog):
    caplog.set_level("WARNING", logger="httpx")  # the client logs the addresses of its requests
    token = api._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    client = generated("client").AuthenticatedClient(base_url=live_server.url, token=token)
    with client:
        yield SimpleNamespace(client=client, module=generated, models=generated("models"))


def test_the_generated_client_enrolls_a_student(school):
    student, course = make_student(student_number="S-1042"), make_course(code="MATH-101", term=make_term(code="2026F"))
    create = school.module("api.students.students_courses_create")

    body = school.models.EnrollRequest(course_code="MATH-101", term="2026F")
    answer = create.sync_detailed("number:S-1042", client=school.client, body=body)

    assert (answer.status_code, answer.parsed.status, answer.parsed.course.id) == (201, "enrolled", course.pk)
    assert StudentCourse.objects.get().student == student
    assert answer.headers["ETag"].startswith('"')


def test_the_generated_client_reads_lists_and_problems(school):
    student, course = make_student(), make_course(capacity=0)
    create = school.module("api.students.students_courses_create")

    refused = create.sync(str(student.pk), client=school.client, body=school.models.EnrollRequest(course_id=course.pk))
    page = school.module("api.students.students_list").sync(client=school.client, student_number=student.student_number)

    assert (refused.code, refused.errors[0].code) == ("course_full", "course_full")
    assert [row.id for row in page.results] == [student.pk]


def test_the_generated_client_sends_a_batch_with_a_key(school):
    student, course = make_student(), make_course()
    send = school.module("api.enrollments.enrollments_batch")
    models = school.models
    item = models.EnrollItemRequest(
        action=models.EnrollItemActionEnum.ENROLL, student_id=student.pk, course_id=course.pk
    )

    outcomes = [
        send.sync(client=school.client, body=models.BatchRequest(items=[item]), idempotency_key="a-key")
        for _ in range(2)
    ]

    assert [[each.status for each in answer.outcomes] for answer in outcomes] == [["created"], ["created"]]
