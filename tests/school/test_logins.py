"""Lockout after wrong passwords and secrets: by username and address, logged with ids, and removable."""

import json
import re
from base64 import b64encode
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from courses.api_client_creation import create_api_client
from school.http import rate_counter
from school.models import ApiClient
from tests.school.test_logs import event, log_entries  # noqa: F401  # a fixture
from tests.support.factories import CANARY

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
RIGHT = "open sesame"


def log_in(password, *, name="registrar", address="203.0.113.1"):
    form = {"username": name, "password": password}
    return Client().post(LOGIN, form, REMOTE_ADDR=address, HTTP_USER_AGENT=f"agent {AccessAttempt.objects.count()}")


@pytest.fixture
def keys(db):
    return create_api_client("portal", "students:read")


def take_token(keys, secret=None, *, address="203.0.113.1", basic=False):
    secret = keys.client_secret if secret is None else secret
    form, headers = {"grant_type": "client_credentials"}, {}
    if basic:
        headers["Authorization"] = "Basic " + b64encode(f"{keys.client_id}:{secret}".encode()).decode()
    else:
        form |= {"client_id": keys.client_id, "client_secret": secret}
    return Client().post("/oauth/token", form, headers=headers, REMOTE_ADDR=address)


def test_the_right_password_is_rejected_after_five_wrong_ones(registrar):
    wrong = [log_in("wrong").status_code for _ in range(5)]
    locked = log_in(RIGHT)

    assert wrong == [200, 200, 200, 200, 429]
    assert (locked.status_code, locked["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert 890 <= int(locked["Retry-After"]) <= 900
    assert "Try again in 15 minutes" in locked.content.decode()


def test_a_lockout_applies_to_one_username_at_one_client_address(registrar, viewer):
    for _ in range(5):
        log_in("wrong")

    assert log_in(RIGHT, address="203.0.113.2").status_code == 302
    assert log_in(RIGHT, name="viewer").status_code == 302
    assert log_in(RIGHT).status_code == 429


def test_a_spoofed_client_address_does_not_bypass_a_lockout(registrar):
    for n in range(5):
        form = {"username": "registrar", "password": "wrong"}
        Client().post(LOGIN, form, REMOTE_ADDR="203.0.113.1", HTTP_X_FORWARDED_FOR=f"198.51.100.{n}")

    assert log_in(RIGHT).status_code == 429


def test_a_lockout_expires_and_further_failures_do_not_extend_it(registrar):
    for _ in range(5):
        log_in("wrong")
    with time_machine.travel(timezone.now() + timedelta(minutes=14)):
        during = log_in("wrong").status_code
    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=1)):
        after = log_in(RIGHT).status_code

    assert (during, after) == (429, 302)


def test_a_successful_login_resets_the_failure_count(registrar):
    answers = [log_in(password).status_code for password in ["wrong"] * 4 + [RIGHT] + ["wrong"] * 4]

    assert answers == [200] * 4 + [302] + [200] * 4


@pytest.mark.parametrize("unlock", ["admin", "command"])
def test_a_lockout_can_be_removed_in_the_admin_and_by_a_command(registrar, admin_client, unlock):
    for _ in range(5):
        log_in("wrong")
    if unlock == "admin":
        ids = list(AccessAttempt.objects.values_list("pk", flat=True))
        form = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
        admin_client.post("/admin/axes/accessattempt/", form)
    else:
        call_command("axes_reset_ip_username", "203.0.113.1", "registrar")

    assert log_in(RIGHT).status_code == 302


@pytest.mark.parametrize("basic", [False, True])
def test_the_right_client_secret_is_rejected_after_five_wrong_ones(keys, basic):
    wrong = [take_token(keys, "wrong", basic=basic).status_code for _ in range(5)]
    locked = take_token(keys, basic=basic)
    problem = locked.json()

    assert wrong == [401, 401, 401, 401, 429]
    assert (locked.status_code, problem["code"]) == (429, "too_many_attempts")
    assert locked["Content-Type"] == "application/problem+json"
    assert 890 <= int(locked["Retry-After"]) <= 900
    assert take_token(keys, address="203.0.113.2").status_code == 200


def test_a_right_client_secret_resets_the_failure_count(keys):
    secrets = ["wrong"] * 4 + [None] + ["wrong"] * 4

    assert [take_token(keys, each).status_code for each in secrets] == [401] * 4 + [200] + [401] * 4


def test_attempts_with_many_usernames_from_one_address_are_limited(settings, registrar):
    settings.API_RATE_ANONYMOUS = 6
    rate_counter._sqlite_counter = rate_counter.SqliteCounter()

    answers = [log_in("wrong", name=f"name {n}", address="203.0.113.7").status_code for n in range(8)]
    right = log_in(RIGHT, address="203.0.113.7")

    assert answers == [200] * 6 + [429] * 2
    assert (right.status_code, 1 <= int(right["Retry-After"]) <= 60) == (429, True)


def test_failed_logins_are_logged_with_ids_only(registrar, keys, log_entries):  # noqa: F811
    log_in("wrong")
    [known] = [line for line in log_entries if line["event"] == "login_failed"]
    log_entries.clear()
    log_in("wrong", name=f"{CANARY}@school.example")
    [unknown] = [line for line in log_entries if line["event"] == "login_failed"]
    log_entries.clear()
    take_token(keys, "wrong")
    [client] = [line for line in log_entries if line["event"] == "login_failed"]

    entries = [{key: line.get(key) for key in ("locked", "user_id", "client_id")} for line in (known, unknown, client)]
    assert entries == [
        {"locked": False, "user_id": registrar.pk, "client_id": None},
        {"locked": False, "user_id": None, "client_id": None},
        {"locked": False, "user_id": None, "client_id": keys.client_id},
    ]
    assert [len(line["request_id"]) for line in (known, unknown, client)] == [36, 36, 36]


def test_a_failed_login_stores_neither_password_nor_secret(registrar, keys):
    log_in("the wrong password")
    take_token(keys, "the wrong secret")

    kept = json.dumps(list(AccessAttempt.objects.values()), default=str)
    assert [text in kept for text in ("the wrong password", "the wrong secret", "registrar")] == [False, False, True]


def test_the_client_page_shows_last_use_and_tokens_and_can_revoke_tokens(keys, admin_client):
    token = take_token(keys).json()["access_token"]
    client = ApiClient.objects.get()
    [live] = client.accesstoken_set.all()
    page = admin_client.get(f"/admin/school/apiclient/{client.pk}/change/").content.decode()
    listed = admin_client.get("/admin/school/apiclient/").content.decode()
    form = {
        "name": "portal",
        "scope": "students:read",
        "accesstoken_set-TOTAL_FORMS": 1,
        "accesstoken_set-INITIAL_FORMS": 1,
        "accesstoken_set-0-id": live.pk,
        "accesstoken_set-0-application": client.pk,
        "accesstoken_set-0-DELETE": "on",
    }
    api = Client(headers={"Authorization": f"Bearer {token}"})

    before = api.get("/api/v1/students").status_code
    saved = admin_client.post(f"/admin/school/apiclient/{client.pk}/change/", form)
    after = api.get("/api/v1/students").status_code

    assert ("last used" in page.lower(), "accesstoken_set-0-id" in page, token in page) == (True, True, False)
    assert re.search(r'class="field-live_tokens[^>]*>\s*1\s*</td>', listed)
    assert (before, saved.status_code, after, client.accesstoken_set.count()) == (200, 302, 401, 0)


def test_an_unknown_scope_is_rejected_in_the_admin(keys, admin_client):
    client = ApiClient.objects.get()
    form = {
        "name": "portal",
        "scope": "students:fly",
        "accesstoken_set-TOTAL_FORMS": 0,
        "accesstoken_set-INITIAL_FORMS": 0,
    }

    page = admin_client.post(f"/admin/school/apiclient/{client.pk}/change/", form)

    assert "Unknown scope: students:fly." in page.content.decode()
    assert ApiClient.objects.get().scope == "students:read"


def test_all_tokens_of_a_client_are_revoked_at_once(keys, admin_client):
    take_token(keys)
    take_token(keys)
    client = ApiClient.objects.get()

    admin_client.post("/admin/school/apiclient/", {"action": "revoke_tokens", "_selected_action": [client.pk]})

    assert client.accesstoken_set.count() == 0


def test_a_registrar_cannot_manage_api_clients(registrar_client, keys):
    assert registrar_client.get("/admin/school/apiclient/").status_code == 403
    assert User.objects.filter(username="client:portal").count() == 1
