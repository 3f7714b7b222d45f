"""The metrics tell the state of webhooks, and the housekeeping deletes old attempts and former secrets."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from students.models import EnrollmentEvent
from tests.support.receiver import OK, receiving, status
from webhooks.endpoints import pause
from webhooks.housekeeping import clean_up
from webhooks.models import Attempt, Endpoint, Outcome, PauseReason
from webhooks.signing_secrets import decrypt, is_current

pytestmark = pytest.mark.django_db
NEW_KEY = "another-key-of-at-least-fifty-characters-0123456789-abc"


def webhook_samples(client, settings):
    """Return the samples of webhooks that are not 0."""
    settings.METRICS_TOKEN = "tell me"
    text = client.get("/metrics", headers={"Authorization": "Bearer tell me"}).content.decode()
    samples = re.findall(r"^(school_webhook\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in samples if float(value) and "_created" not in name}


def test_the_metrics_count_attempts_by_outcome_and_webhooks_by_state(
    client, settings, endpoint_of, deliver, enroll_students
):
    answers = iter([OK, OK, status(500)])
    with receiving(lambda *_: next(answers)) as receiver:
        endpoint = endpoint_of(receiver)
        pause(endpoint_of(receiver).pk)
        failed = endpoint_of(receiver)
        Endpoint.objects.filter(pk=failed.pk).update(state="paused", pause_reason=PauseReason.FAILURES)
        enroll_students(3)
        deliver()
    Endpoint.objects.filter(pk=endpoint.pk).update(
        positions={"enrollments": [EnrollmentEvent.objects.latest("pk").pk, ""]}
    )

    assert webhook_samples(client, settings) == {
        'school_webhooks{state="active"}': 1,
        'school_webhooks{state="paused"}': 2,
        'school_webhooks_paused{reason="request"}': 1,
        'school_webhooks_paused{reason="failures"}': 1,
        'school_webhook_attempts_total{outcome="delivered"}': 2,
        'school_webhook_attempts_total{outcome="status"}': 1,
    }


def test_the_counts_of_attempts_outlive_the_attempts(client, settings, endpoint_of, deliver, enroll_students):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(2)
        deliver()
        endpoint.delete()

    assert Attempt.objects.count() == 0
    assert webhook_samples(client, settings) == {'school_webhook_attempts_total{outcome="delivered"}': 2}


def test_the_lag_is_that_of_the_active_webhook_that_is_furthest_behind(
    client, settings, endpoint_of, deliver, enroll_students, monkeypatch
):
    with receiving() as receiver:
        enroll_students(1)
        endpoint_of(receiver)
        paused = endpoint_of(receiver)
        pause(paused.pk)
        enroll_students(2)
        at = EnrollmentEvent.objects.order_by("pk")[1].at
        with monkeypatch.context() as patch:
            patch.setattr("webhooks.outbox.timezone.now", lambda: at + timedelta(seconds=90))
            waiting = webhook_samples(client, settings)["school_webhook_lag_seconds"]
        deliver()

    assert waiting == 90
    assert "school_webhook_lag_seconds" not in webhook_samples(client, settings)


def test_housekeeping_deletes_attempts_after_their_period(settings, endpoint_of):
    settings.RETENTION_ATTEMPTS_DAYS = 30
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
    for days in (0, 29, 31, 400):
        at = timezone.now() - timedelta(days=days)
        Attempt.objects.create(
            endpoint=endpoint, message_id=f"m_{days}", type="ping", at=at, outcome=Outcome.TIMEOUT, milliseconds=1
        )

    sentences = list(clean_up())

    assert sentences[0] == "2 attempts of webhooks."
    assert set(Attempt.objects.values_list("message_id", flat=True)) == {"m_0", "m_29"}


def test_housekeeping_forgets_the_previous_secret_after_its_day(endpoint_of):
    with receiving() as receiver:
        over, valid = endpoint_of(receiver), endpoint_of(receiver)
    for endpoint, hours in ((over, -1), (valid, 1)):
        until = timezone.now() + timedelta(hours=hours)
        Endpoint.objects.filter(pk=endpoint.pk).update(previous_secret=endpoint.secret, previous_secret_until=until)

    list(clean_up())

    stored = Endpoint.objects.order_by("pk").values_list("previous_secret", "previous_secret_until")
    assert [(bool(secret), bool(until)) for secret, until in stored] == [(False, False), (True, True)]


def test_housekeeping_encrypts_secrets_with_the_current_key(settings, endpoint_of):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [settings.SECRET_KEY]

    sentences = [list(clean_up())[-1] for _ in range(2)]

    endpoint.refresh_from_db()
    settings.SECRET_KEY_FALLBACKS = []
    assert sentences == [f"{number} secrets of webhooks encrypted with the current SECRET_KEY." for number in (1, 0)]
    assert (is_current(endpoint.secret), decrypt(endpoint.secret)) == (True, endpoint.plain_secret)
