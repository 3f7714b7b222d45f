"""Cached tokens: fewer database queries, and a revoked token still stops working within a minute."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from school.api import token_grants
from school.api.token_grants import Grant, GrantCache
from school.models import ApiClient

pytestmark = pytest.mark.django_db


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch, settings):
    settings.TOKEN_CACHE_SECONDS = 30
    clock = Clock()
    monkeypatch.setattr(token_grants, "monotonic", clock)
    token_grants.grant_cache.clear()
    yield clock
    token_grants.grant_cache.clear()


def token_queries_in(queries):
    return sum("oauth2_provider_accesstoken" in query["sql"] for query in queries)


def test_a_token_is_loaded_from_the_database_once_in_thirty_seconds(api, clock):
    with CaptureQueriesContext(connection) as first:
        api.get("/api/v1/terms")
    with CaptureQueriesContext(connection) as second:
        api.get("/api/v1/terms")
    clock.now += 30
    with CaptureQueriesContext(connection) as later:
        api.get("/api/v1/terms")

    assert [token_queries_in(each) for each in (first, second, later)] == [1, 0, 1]


@pytest.mark.parametrize("end", ["revoked", "deactivated", "narrowed"])
def test_a_revoked_or_narrowed_token_loses_access_after_thirty_seconds(api, clock, end):
    assert api.get("/api/v1/terms").status_code == 200
    if end == "revoked":
        get_access_token_model().objects.all().delete()
    elif end == "deactivated":
        User.objects.update(is_active=False)
    else:
        ApiClient.objects.update(scope="students:read")

    clock.now += 29
    before = api.get("/api/v1/terms").status_code
    clock.now += 1
    after = api.get("/api/v1/terms").status_code

    assert (before, after) == (200, 403 if end == "narrowed" else 401)


def test_an_expired_token_is_rejected_immediately(api, clock):
    assert api.get("/api/v1/terms").status_code == 200
    expires = get_access_token_model().objects.get().expires

    with time_machine.travel(expires):
        assert api.get("/api/v1/terms").status_code == 401


def test_no_token_is_cached_when_the_cache_is_off(api, settings):
    settings.TOKEN_CACHE_SECONDS = 0
    token_grants.grant_cache.clear()
    api.get("/api/v1/terms")

    assert len(token_grants.grant_cache) == 0


def test_the_token_cache_is_bounded_and_evicts_the_oldest_entry(settings, clock):
    memory = GrantCache(2)
    grant = Grant(None, "", frozenset(), timezone.now(), None)
    for name in ("first", "second", "third"):
        memory.put(name, grant)

    assert [memory.get(name) is grant for name in ("first", "second", "third")] == [False, True, True]


def test_each_request_gets_its_own_copy_of_the_cached_account(api, clock):
    api.get("/api/v1/terms")
    [(_until, grant)] = token_grants.grant_cache._entries.values()

    assert token_grants.copy_account(grant) == grant.account
    assert token_grants.copy_account(grant) is not grant.account


def test_the_last_use_of_a_client_is_written_once_a_minute(api):
    def last_use():
        noted = ApiClient.objects.get().last_used_at
        assert noted is not None
        return noted

    taken = last_use()
    seconds = []
    for later in (59, 61, 119, 122):
        with time_machine.travel(taken + timedelta(seconds=later), tick=False):
            api.get("/api/v1/terms")
        seconds.append(int((last_use() - taken).total_seconds()))

    assert seconds == [0, 61, 61, 122]
