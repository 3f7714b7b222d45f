"""Logs: an id for each request, an event for each command, and no personal data."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection
from django.db.models.sql.compiler import SQLCompiler

from school.observability.logging import MAX_STACK, logging_config, remove_error_texts
from students.models import Student
from tests.support.factories import CANARY, make_course, make_student
from tests.support.log_scan import leaks_in

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def log_entries():
    """Collect the log entries of the test in the format of production."""
    found: list[dict[str, object]] = []
    formatter = next(h.formatter for h in logging.getLogger().handlers if h.formatter)

    class Collector(logging.Handler):
        def emit(self, record):
            found.append(json.loads(formatter.format(record)))

    handler = Collector()
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


def event(log_entries, name):
    [line] = [line for line in log_entries if line["event"] == name]
    return {key: value for key, value in line.items() if key not in ("timestamp", "logger", "level")}


@pytest.mark.django_db(transaction=True)
def test_every_request_and_every_command_is_logged_with_ids(api, log_entries):
    student, course = make_student(), make_course()
    log_entries.clear()

    answer = api.post(f"/api/v1/students/{student.pk}/courses?page_size=1", {"course_id": course.pk})

    finished = event(log_entries, "request_finished")
    account, client_id, duration = finished["user_id"], finished["client_id"], finished.pop("duration_ms")
    assert isinstance(duration, float)
    assert 0 < duration < 60_000
    shared = {"request_id": answer["X-Request-ID"], "client_id": client_id, "user_id": account}
    assert finished == {
        "event": "request_finished",
        "request": f"POST /api/v1/students/<str:student_id>/courses student_id={student.pk}",
        "code": 201,
        **shared,
    }
    assert event(log_entries, "enrollment_created") == {
        "event": "enrollment_created",
        "student_id": student.pk,
        "course_id": course.pk,
        "enrollment_id": answer.json()["id"],
        "actor_id": account,
        "channel": "api",
        **shared,
    }


@pytest.mark.django_db(transaction=True)
def test_refusals_are_logged_with_codes_and_commands_by_name(api, log_entries):
    student, course = make_student(is_active=False), make_course(capacity=0)
    url = f"/api/v1/students/{student.pk}/courses"

    api.post(url, {"course_id": course.pk})
    refused = event(log_entries, "enrollment_refused")
    assert (refused["action"], refused["codes"]) == ("enroll", ["student_inactive", "course_full"])

    Student.objects.update(is_active=True)
    for number, (method, body, name) in enumerate(
        [("delete", None, "enrollment_dropped"), ("patch", {"status": "completed"}, "enrollment_completed")]
    ):
        open_course = make_course(code=f"OPEN-{number}")
        api.post(url, {"course_id": open_course.pk})
        getattr(api, method)(f"{url}/{open_course.pk}", body)
        assert event(log_entries, name)["course_id"] == open_course.pk


@pytest.mark.django_db(transaction=True)
def test_a_refusal_in_the_admin_is_logged(registrar_client, log_entries):
    student, course = make_student(), make_course(capacity=0)

    registrar_client.post("/admin/students/studentcourse/add/", {"student": student.pk, "course": course.pk})

    assert (event(log_entries, "enrollment_refused")["channel"], event(log_entries, "enrollment_refused")["codes"]) == (
        "admin",
        ["course_full"],
    )


@pytest.mark.django_db
def test_an_import_is_logged_in_one_line_with_its_counts(log_entries, tmp_path):
    student, course = make_student(), make_course()
    file = tmp_path / "file.csv"
    file.write_text(f"student_number,course_code\n{student.student_number},{course.code}\n")

    call_command("import_enrollments", str(file))

    line = event(log_entries, "import_finished")
    assert len(str(line.pop("request_id"))) == 36
    assert isinstance(line.pop("import_id"), int)
    assert line == {
        "event": "import_finished",
        "kind": "enrollments",
        "state": "done",
        "channel": "import",
        "dry_run": False,
        "applied": True,
        "rows_enrolled": 1,
    }


@pytest.mark.django_db(transaction=True)
def test_the_log_entry_of_a_409_has_its_codes_also_for_a_replayed_response(api, log_entries):
    student, course = make_student(), make_course(capacity=0)
    url, body = f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk}
    number = {"student_number": student.student_number, "given_name": "A", "family_name": "B"}
    log_entries.clear()

    answers = [api.post(url, body)]
    answers += [api.post("/api/v1/students", number, HTTP_IDEMPOTENCY_KEY="a") for _ in range(2)]

    codes = [(line["code"], line["problem_codes"]) for line in log_entries if line["event"] == "request_finished"]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert codes == [(409, ["course_full"]), (409, ["unique"]), (409, ["unique"])]


@pytest.mark.django_db
def test_the_log_entry_of_a_500_has_the_sqlstate_and_the_constraint(api, log_entries):
    make_student(given_name="Ada")
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX nobody_knows ON students_student (given_name)")
    api.raise_request_exception = False

    api.post("/api/v1/students", {"student_number": CANARY, "given_name": "Ada", "family_name": CANARY})

    line = event(log_entries, "request_failed")
    on_postgresql = connection.vendor == "postgresql"
    assert str(line["exception_type"]).startswith("IntegrityError < ")
    assert (line["sqlstate"], line["constraint"]) == (
        ("23505", "nobody_knows") if on_postgresql else ("SQLITE_CONSTRAINT_UNIQUE", "students_student.given_name")
    )
    assert isinstance(line["duration_ms"], float)
    assert leaks_in(json.dumps(log_entries)) == []


@pytest.mark.django_db
def test_the_log_entry_of_a_503_has_the_database_error(api, log_entries, monkeypatch):
    def locked(*args, **options):
        raise OperationalError("database is locked")

    monkeypatch.setattr(SQLCompiler, "execute_sql", locked)

    api.get("/api/v1/students")

    line = event(log_entries, "request_finished")
    assert (line["code"], line["exception_type"], line["problem_codes"]) == (503, "OperationalError", ["busy"])


@pytest.mark.django_db
def test_the_log_entry_of_a_failed_health_check_names_the_missing_part(client, log_entries):
    client.get("/health/ready")

    line = event(log_entries, "request_finished")
    assert (line["code"], line["checks"]["worker"]) == (503, "none")


@pytest.mark.django_db
def test_the_log_entry_of_a_streamed_response_has_its_duration(api, log_entries):
    course = make_course()
    log_entries.clear()

    answer = api.get(f"/api/v1/courses/{course.pk}/students", HTTP_ACCEPT="text/csv")
    b"".join(answer.streaming_content)

    assert isinstance(event(log_entries, "request_finished")["duration_ms"], float)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/students?search={CANARY}",
        f"/api/v1/students/number:{CANARY}-1",
        f"/api/v1/nonsense/{CANARY}",
        f"/{CANARY}",
        f"/admin/students/student/?q={CANARY}",
        f"/admin/students/student/1/history/{CANARY}/",
    ],
)
def test_the_path_and_the_query_of_a_request_are_not_logged(api, log_entries, path):
    api.get(path)

    assert len(log_entries) > 0
    assert leaks_in(json.dumps(log_entries)) == []


def test_the_message_of_an_exception_is_not_logged():
    try:
        try:
            raise IntegrityError(f"Key (email)=({CANARY}) already exists.")
        except IntegrityError as error:
            raise RuntimeError(f"while saving: {error}") from error
    except RuntimeError:
        line = remove_error_texts(None, "error", {"event": "failed", "exc_info": True})

    assert line["exception_type"] == "RuntimeError < IntegrityError"
    assert leaks_in(json.dumps(line)) == []
    assert "test_the_message_of_an_exception_is_not_logged" in line["stack"]


@pytest.mark.parametrize("text", [f"a {CANARY} b", "to ada@school.example", "GET /students/number:S-1"])
def test_the_log_scan_finds_personal_data(text):
    assert leaks_in(f"fine\n{text}\nfine") == [text]


def test_development_logs_are_readable_text():
    renderer = logging_config(as_json=False, level="INFO")["formatters"]["structlog"]["processors"][-1]

    assert isinstance(renderer, structlog.dev.ConsoleRenderer)


@pytest.mark.parametrize("leak", [True, False])
def test_a_test_run_with_personal_data_in_its_logs_fails(tmp_path, leak):
    """Runs pytest with one test to check the log scan at the end of a run."""
    text = CANARY if leak else "harmless"
    (tmp_path / "other.log").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/bulk/test_cells.py"]

    run = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TEST_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, "Personal data in the logs of the run" in run.stdout) == (int(leak), leak)


def test_a_logged_stack_starts_at_the_innermost_frames_and_has_a_limit():
    def ping(left):
        return pong(left - 1)

    def pong(left):
        return ping(left) if left else 1 / 0

    with pytest.raises(ZeroDivisionError) as raised:
        ping(40)
    event = remove_error_texts(None, "error", {"event": "x", "exc_info": raised.value})
    stack = event["stack"].splitlines()

    assert stack[0].endswith(("in ping", "in pong"))
    assert "return ping(left) if left else 1 / 0" in stack[-2]
    assert MAX_STACK - 400 < len(event["stack"]) <= MAX_STACK
