"""Logins: counted failures, logged events, stored data and the end of sessions."""

import json
from base64 import b64encode

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from courses.api_client_creation import create_api_client
from school.access.api_client_revocation import reactivate, revoke
from school.accounts.json_cache import JsonCache
from school.models import ApiClient, CachedValue
from tests.school.test_logs import event, log_entries  # noqa: F401  # a fixture

pytestmark = pytest.mark.django_db

WRONG = {"grant_type": "client_credentials"}


@pytest.fixture
def keys():
    return create_api_client("portal", "students:read")


def basic(keys):
    return {"Authorization": "Basic " + b64encode(f"{keys.client_id}:{keys.client_secret}".encode()).decode()}


@pytest.mark.parametrize(
    ("form", "query", "with_basic"),
    [
        ({"client_id": "ID", "client_secret": "SECRET"}, "", True),
        ({"client_id": "ID"}, "", True),
        ({"client_secret": "SECRET"}, "", True),
        ({}, "?client_id=ID&client_secret=SECRET", False),
        ({"client_id": ["other", "ID"], "client_secret": "SECRET"}, "", False),
    ],
)
def test_client_credentials_in_two_places_are_an_invalid_request(keys, form, query, with_basic):
    names = {"ID": keys.client_id, "SECRET": keys.client_secret}
    sent = {
        key: [names.get(each, each) for each in value] if isinstance(value, list) else names[value]
        for key, value in form.items()
    }
    for name, value in names.items():
        query = query.replace(name, value)

    answer = Client().post(f"/oauth/token{query}", {**WRONG, **sent}, headers=basic(keys) if with_basic else {})

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def test_a_wrong_old_password_counts_as_a_failed_login(registrar):
    client = Client()
    client.post("/admin/login/", {"username": "registrar", "password": "open sesame"})
    form = {"old_password": "wrong", "new_password1": "a long new one", "new_password2": "a long new one"}

    statuses = [client.post("/admin/password_change/", form).status_code for _ in range(6)]
    right = client.post("/admin/password_change/", {**form, "old_password": "open sesame"})

    assert (statuses, right.status_code) == ([200, 200, 200, 200, 429, 429], 429)
    assert User.objects.get().check_password("open sesame")


def test_an_api_session_ends_after_session_hours(registrar):
    with time_machine.travel("2026-11-02T08:00Z", tick=False) as clock:
        client = Client()
        client.post("/admin/login/", {"username": "registrar", "password": "open sesame"})
        statuses = []
        for _hour in range(12):
            statuses.append(client.get("/api/v1/students").status_code)
            clock.shift(3599)
            client.get("/admin/")  # activity renews the session
        clock.shift(60)

        assert (statuses, client.get("/api/v1/students").status_code) == ([200] * 12, 401)


def test_a_user_without_staff_status_has_no_api_session(registrar_client, registrar):
    before = registrar_client.get("/api/v1/students").status_code
    User.objects.update(is_staff=False)

    assert (before, registrar_client.get("/api/v1/students").status_code) == (200, 401)


def test_logins_tokens_revocations_and_admissions_are_logged_with_ids(registrar, keys, log_entries):  # noqa: F811
    Client().post("/admin/login/", {"username": "registrar", "password": "open sesame"})
    Client().post("/oauth/token", {**WRONG, "client_id": keys.client_id, "client_secret": keys.client_secret})
    revoke(ApiClient.objects.get())
    reactivate(ApiClient.objects.get())

    def fields_of(name):
        return {key: value for key, value in event(log_entries, name).items() if key not in ("event", "request_id")}

    assert fields_of("logged_in") == {"user_id": registrar.pk}
    assert fields_of("token_taken") == {"client_id": keys.client_id}
    assert fields_of("tokens_revoked") == {"client_id": keys.client_id, "tokens": 1}
    assert fields_of("client_revoked") == {"client_id": keys.client_id}
    assert fields_of("client_admitted") == {"client_id": keys.client_id}


def test_an_unknown_host_is_logged_in_one_short_line(log_entries):  # noqa: F811
    Client().get("/api/v1/students", HTTP_HOST="x" * 5_000 + ".example")

    assert [(line["event"], line["code"]) for line in log_entries] == [("request_finished", 400)]
    assert len(json.dumps(log_entries)) < 500


@pytest.mark.parametrize("path", ["/api/v1/students", "/admin/login/", "/nowhere"])
def test_an_unknown_http_method_is_not_logged(log_entries, path):  # noqa: F811
    Client().generic("S-1042-Ada" * 500, path)

    requests = [line["request"] for line in log_entries if line["event"] == "request_finished"]
    assert [request.partition(" ")[0] for request in requests] == ["other"]


def test_the_login_cache_stores_json_and_no_pickles():
    cache = JsonCache("", {})

    cache.set("history", [1.5, 2.5], 60)
    added = [cache.add("code", True, 60), cache.add("code", True, 60)]

    assert (cache.get("history"), added) == ([1.5, 2.5], [True, False])
    assert list(CachedValue.objects.order_by("key").values_list("value", flat=True)) == ["true", "[1.5, 2.5]"]
    with pytest.raises(TypeError):
        cache.set("object", object())


def test_values_of_the_login_cache_expire_and_can_be_deleted():
    cache = JsonCache("", {})
    with time_machine.travel("2026-11-02T08:00Z", tick=False) as clock:
        cache.set("short", 1, 60)
        cache.set("forever", 2, None)
        touched = cache.touch("short", 120)
        clock.shift(100)
        before = cache.get_many(["short", "forever"])
        clock.shift(21)

        assert (touched, before) == (True, {"short": 1, "forever": 2})
        assert (cache.get("short", "gone"), cache.add("short", 3, 60), cache.get("short")) == ("gone", True, 3)
        assert (cache.delete("short"), cache.delete("short")) == (True, False)
    cache.clear()
    assert CachedValue.objects.count() == 0
