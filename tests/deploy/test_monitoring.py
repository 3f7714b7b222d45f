"""The dashboard and the alerts use metrics that /metrics has."""

import io
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.db import connection

from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel, Progress, State
from school.backups import record_backup
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.support.factories import make_course, make_student
from tests.support.programs import require

FOLDER = Path(settings.BASE_DIR) / "deploy"
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
BOARD = json.loads((FOLDER / "grafana.json").read_text())
EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"] for panel in BOARD["panels"] for target in panel["targets"]),
]
TOKEN = {"Authorization": "Bearer tell me"}


def samples(client):
    text = client.get("/metrics", headers=TOKEN).content.decode()
    return {name: float(value) for name, value in re.findall(r"^(school_\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)}


@pytest.mark.django_db(transaction=True)
def test_every_metric_of_the_dashboard_and_the_alerts_exists(client, settings):
    settings.METRICS_TOKEN = "tell me"
    # A histogram and a counter appear with their first sample.
    from school.observability.metrics import refusal_counter, request_duration

    request_duration.labels("GET", "health", "200").observe(0.1)
    refusal_counter.labels("course_full").inc(0)
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=ActorContext(Channel.SYSTEM))

    used = {name for expression in EXPRESSIONS for name in re.findall(r"\bschool_\w+", expression)}

    assert used - samples(client).keys() == set()
    assert len(used) >= 9


@pytest.mark.django_db
def test_the_routes_that_are_left_out_exist(client, settings):
    labels = {"health", "health/ready", "api/v1/changes"}
    patterns = {each for text in EXPRESSIONS for each in re.findall(r'route!~"([^"]+)"', text)}
    from django.urls import get_resolver, resolve

    assert get_resolver()
    assert {resolve(f"/{label}").route for label in labels} == labels
    for pattern in patterns:
        assert any(re.fullmatch(pattern, label) for label in labels)


def test_there_is_an_alert_for_each_fault_of_the_service():
    assert {rule["alert"].removeprefix("School") for rule in RULES} == {
        *("Down", "DatabaseDown", "Errors", "Busy", "Slow"),
        *("WorkerMissing", "ImportWaits", "FeedLags", "BackupOld", "WebhookPaused", "WebhookLags"),
    }
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] in ("page", "ticket") for rule in RULES)


def test_the_page_of_operations_describes_every_alert():
    page = (Path(settings.BASE_DIR) / "docs/operations.md").read_text()

    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in page] == []


def test_prometheus_accepts_the_alerts():
    checked = subprocess.run(
        [require("promtool", "prometheus"), "check", "rules", FOLDER / "alerts.yaml"], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_accepts_the_expressions_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"panel_{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked = subprocess.run(
        [require("promtool", "prometheus"), "check", "rules", file], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_alerts_fire_when_they_should(tmp_path):
    """Prometheus evaluates the alerts on made-up samples: none fires on a healthy school, each on its fault."""
    counted = 'school_request_seconds_count{route="api/v1/students",status="%s"}'
    bucket = 'school_request_seconds_bucket{route="api/v1/students",status="200",le="%s"}'
    healthy = {
        'up{job="school"}': "1x60",
        "school_database_up": "1x60",
        "school_workers": "1x60",
        "school_oldest_import_seconds": "0x60",
        "school_feed_lag_seconds": "0x60",
        "school_last_backup_timestamp_seconds": "0x60",
        "school_webhook_lag_seconds": "0x60",
        'school_webhooks_paused{reason="request"}': "1x60",
        'school_webhooks_paused{reason="failures"}': "0x60",
        counted % 200: "0+600x60",
        counted % 503: "0x60",
        counted % 500: "0x60",
        bucket % "0.1": "0+600x60",
        bucket % "2": "0+600x60",
        bucket % "+Inf": "0+600x60",
    }
    faults = {
        "SchoolDown": {'up{job="school"}': "0x60"},
        "SchoolDatabaseDown": {"school_database_up": "0x60"},
        "SchoolErrors": {counted % 500: "0+1x60"},
        "SchoolBusy": {counted % 503: "0+60x60"},
        "SchoolSlow": {bucket % "0.1": "0+500x60"},
        "SchoolWorkerMissing": {"school_workers": "0x60"},
        "SchoolImportWaits": {"school_oldest_import_seconds": "700x60"},
        "SchoolFeedLags": {"school_feed_lag_seconds": "400x60"},
        "SchoolWebhookPaused": {'school_webhooks_paused{reason="failures"}': "1x60"},
        "SchoolWebhookLags": {"school_webhook_lag_seconds": "1000x60"},
        "SchoolBackupOld": {"school_last_backup_timestamp_seconds": "-100000x60"},
    }
    tests = []
    for fault, changes in {"": {}, **faults}.items():
        series = [{"series": name, "values": values} for name, values in {**healthy, **changes}.items()]
        cases = []
        for rule in RULES:
            alert: dict = {"eval_time": "50m", "alertname": rule["alert"], "exp_alerts": []}
            if rule["alert"] == fault:
                labels = dict(rule["labels"])
                if fault == "SchoolDown":
                    labels["job"] = "school"
                alert["exp_alerts"] = [{"exp_labels": labels, "exp_annotations": rule["annotations"]}]
            cases.append(alert)
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": cases})
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": tests}))

    tested = subprocess.run([require("promtool", "prometheus"), "test", "rules", file], capture_output=True, text=True)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.django_db(transaction=True)
def test_the_age_of_the_oldest_import_is_the_time_since_its_last_progress(client, settings):
    settings.METRICS_TOKEN = "tell me"
    before = samples(client)["school_oldest_import_seconds"]
    file = io.BytesIO(b"student_number,given_name,family_name\nN,A,B\n")
    job = submit(file, ImportRequest(kind="students", channel=ImportChannel.API, request_id="r"))
    Progress.objects.filter(pk=job.pk).update(at=job.created_at.replace(year=2020))

    waiting = samples(client)["school_oldest_import_seconds"]
    type(job).objects.filter(pk=job.pk).update(state=State.NEEDS_REVIEW)

    assert (before, samples(client)["school_oldest_import_seconds"]) == (0, 0)
    assert waiting > 86_400


@pytest.mark.django_db
def test_the_time_of_the_last_backup_is_reported(client, settings):
    settings.METRICS_TOKEN = "tell me"
    before = samples(client)["school_last_backup_timestamp_seconds"]

    record_backup()
    record_backup()

    assert before == 0
    assert samples(client)["school_last_backup_timestamp_seconds"] > 1_600_000_000


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite commits entries in their order")
def test_the_feed_lags_while_an_older_transaction_is_open(client, settings, actor):
    settings.METRICS_TOKEN = "tell me"
    import psycopg

    from students.events.journal import JOURNAL

    course = make_course()
    enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    before = samples(client)["school_feed_lag_seconds"]
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(*JOURNAL.set_marker)
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
        during = samples(client)["school_feed_lag_seconds"]

    assert (before, samples(client)["school_feed_lag_seconds"]) == (0, 0)
    assert during > 0
