"""Rate limits for each minute: by account, by address, and for invalid credentials."""

import time

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from school.http import rate_counter
from school.http.rate_limit import RateLimitStatus

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def reset_counts():
    if connection.vendor == "sqlite":
        rate_counter._sqlite_counter = rate_counter.SqliteCounter()


def rate_limit_of(answer):
    return answer.status_code, answer.get("RateLimit-Policy"), (answer.get("RateLimit") or "").partition(";t=")[0]


def test_a_request_over_the_limit_returns_429_with_retry_after(api, settings):
    settings.API_RATE_CLIENT = 2

    answers = [api.get("/api/v1/terms") for _ in range(3)]

    policy = '"client";q=2;w=60'
    assert [rate_limit_of(answer) for answer in answers] == [
        (200, policy, '"client";r=1'),
        (200, policy, '"client";r=0'),
        (429, policy, '"client";r=0'),
    ]
    problem = answers[2].json()
    assert (problem["code"], problem["status"], answers[2]["Content-Type"]) == (
        "too_many_requests",
        429,
        "application/problem+json",
    )
    assert answers[2]["Retry-After"] == answers[2]["RateLimit"].partition(";t=")[2]
    assert 1 <= int(answers[2]["Retry-After"]) <= 60


def test_a_request_over_the_limit_changes_nothing(make_client, settings):
    client = make_client("courses:write", "courses:read")
    settings.API_RATE_CLIENT = 1

    assert client.get("/api/v1/terms").json()["results"] == []
    body = {"code": "2026F", "name": "Fall", "starts_on": "2026-09-01", "ends_on": "2027-01-31"}
    assert client.post("/api/v1/terms", body).status_code == 429
    settings.API_RATE_CLIENT = 100
    assert client.get("/api/v1/terms").json()["results"] == []


def test_each_client_and_each_staff_user_is_counted_separately(make_client, registrar, settings):
    settings.API_RATE_CLIENT = 1
    staff = Client()
    staff.force_login(registrar)
    callers = [make_client("courses:read"), make_client("courses:read"), staff]

    assert [[caller.get("/api/v1/terms").status_code for _ in range(2)] for caller in callers] == [[200, 429]] * 3


def test_unauthenticated_requests_are_counted_by_address_and_affect_no_client(api, settings):
    settings.API_RATE_ANONYMOUS = settings.API_RATE_FAILED = 2
    anonymous, guesser = APIClient(), APIClient()
    guesser.credentials(HTTP_AUTHORIZATION="Bearer guess")

    def three_statuses(caller, address):
        return [caller.get("/api/v1/terms", REMOTE_ADDR=address).status_code for _ in range(3)]

    assert three_statuses(anonymous, "203.0.113.1") == three_statuses(anonymous, "203.0.113.2") == [401, 401, 429]
    assert three_statuses(guesser, "203.0.113.1") == [401, 401, 429]
    assert three_statuses(api, "203.0.113.1") == [200, 200, 200]


def test_the_openapi_document_is_rate_limited_and_health_is_not(client, settings):
    settings.API_RATE_ANONYMOUS = 1

    assert [client.get("/api/docs").status_code for _ in range(2)] == [200, 429]
    assert [client.get("/health").status_code for _ in range(2)] == [200, 200]


def test_a_limit_of_0_means_no_limit(api, settings):
    settings.API_RATE_CLIENT = 0

    answer = api.get("/api/v1/terms")

    assert (answer.status_code, "RateLimit" in answer) == (200, False)


def test_a_window_starts_with_the_first_request_and_ends(monkeypatch):
    monkeypatch.setattr(rate_counter, "WINDOW", 1)
    first = [rate_counter.count("an account", 2).taken for _ in range(3)]
    time.sleep(1.1)
    second = [rate_counter.count("an account", 2).taken for _ in range(3)]

    assert (first, second) == ([1, 2, None], [1, 2, None])


def test_a_count_reports_the_seconds_left_in_its_window():
    rate_counter.count("an account", 1)
    time.sleep(0.2)

    assert 59 <= rate_counter.count("an account", 1).seconds_left <= 59.8


def test_counts_of_ended_windows_are_deleted(monkeypatch, capsys):
    rate_counter.delete_ended()
    monkeypatch.setattr(rate_counter, "WINDOW", 1)
    rate_counter.count("an account", 2)
    call_command("clear_counts")
    time.sleep(1.1)
    call_command("clear_counts")

    assert capsys.readouterr().out.splitlines() == ["0 deleted.", "1 deleted."]


def test_rate_limit_headers_are_structured_fields():
    assert RateLimitStatus("client", 600, 599, 60).headers() == {
        "RateLimit-Policy": '"client";q=600;w=60',
        "RateLimit": '"client";r=599;t=60',
    }
