"""Metrics for Prometheus, and access to them."""

import os
import re

import pytest
from django.db import connection

from bulk.jobs.import_actions import start_undo
from bulk.models import ImportChannel, State
from school.refusals import Refused
from school.server import make_metrics_folder
from students.enrollment import drop, dry_run, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, Channel
from tests.support.databases import copy_sqlite
from tests.support.factories import make_course, make_student
from tests.support.imports import imported, worked_on
from tests.support.serving import ask, bearer, environment_of, serving

TOKEN = {"Authorization": "Bearer tell me"}


def samples_in(text):
    """Return the samples of a metrics response by name and labels, without buckets."""
    lines = re.findall(r"^(school_\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines if "_bucket" not in name and "_created" not in name}


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer tell you"}, {"Authorization": "tell me"}])
def test_metrics_return_404_without_the_right_token(client, settings, headers):
    settings.METRICS_TOKEN = "tell me"

    assert client.get("/metrics", headers=headers).status_code == 404


@pytest.mark.django_db
def test_metrics_return_404_when_no_token_is_configured(client):
    for given in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer"}):
        assert client.get("/metrics", headers=given).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_metrics_report_commands_refusals_imports_and_the_queue(client, settings):
    settings.METRICS_TOKEN = "tell me"
    before = samples_in(client.get("/metrics", headers=TOKEN).content.decode())
    student, course, full = make_student(), make_course(), make_course(capacity=0)
    actor = ActorContext(Channel.SYSTEM)

    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    with pytest.raises(Refused):
        enroll(student_id=student.pk, course_id=full.pk, actor=actor)
    imported("student_number,given_name,family_name\nN,A,B\n", kind="students")

    after = samples_in(client.get("/metrics", headers=TOKEN).content.decode())
    changed = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    assert changed == {
        'school_enrollment_acts_total{action="enroll",channel="system"}': 1,
        'school_enrollment_acts_total{action="drop",channel="system"}': 1,
        'school_refusals_total{code="course_full"}': 1,
        f'school_imports{{state="{State.DONE}"}}': 1,
    }
    assert (after["school_database_up"], after["school_queue_length"], after["school_workers"]) == (1, 0, 0)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the server is the same, so once is enough")
def test_metrics_add_up_all_processes_and_no_label_contains_an_id(tmp_path):
    environment = environment_of(f"sqlite:///{tmp_path}/school.sqlite3", METRICS_TOKEN="tell me")
    copy_sqlite(environment)
    with serving(environment, "--workers=2") as port:
        program = bearer(environment, port, "students:read")
        answers = [ask(port, "GET", f"/api/v1/students/{n}", **program).status for n in range(1, 41)]
        odd = [ask(port, method, path).status for method, path in [("ODD", "/health"), ("GET", "/nonsense/7")]]
        samples = samples_in(ask(port, "GET", "/metrics", **TOKEN).body)
        public = ask(port, "GET", "/metrics").status

    counts = {name: value for name, value in samples.items() if name.startswith("school_request_seconds_count")}
    route = 'method="GET",route="api/v1/students/<str:student_id>",status="404"'
    assert answers == [404] * 40
    assert counts[f"school_request_seconds_count{{{route}}}"] == 40
    assert counts[f'school_request_seconds_count{{method="other",route="health",status="{odd[0]}"}}'] == 1
    assert counts['school_request_seconds_count{method="GET",route="none",status="404"}'] == 1
    assert public == 404


def test_metrics_folders_of_stopped_servers_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended, alive = (tmp_path / f"school-metrics-{os.getuid()}-{pid}-x" for pid in (2**22 + 1, os.getppid()))
    ended.mkdir()
    alive.mkdir()

    made = make_metrics_folder()

    assert sorted(map(str, tmp_path.iterdir())) == sorted([str(alive), made])


@pytest.mark.django_db(transaction=True)
def test_an_undone_import_is_counted_and_a_preview_is_not(client, settings):
    settings.METRICS_TOKEN = "tell me"
    student, course, full = make_student(), make_course(), make_course(capacity=0)
    number, code = student.student_number, course.code
    job = imported(f"student_number,course_code\n{number},{code}\n", kind="enrollments")
    before = samples_in(client.get("/metrics", headers=TOKEN).content.decode())

    worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))
    dry_run([EnrollmentCommand(Action.ENROLL, student.pk, full.pk)], ActorContext(Channel.ADMIN))

    after = samples_in(client.get("/metrics", headers=TOKEN).content.decode())
    acts = {name: value - before.get(name, 0) for name, value in after.items() if "acts" in name or "refus" in name}
    assert {name: value for name, value in acts.items() if value} == {
        'school_enrollment_acts_total{action="undo",channel="import"}': 1
    }
