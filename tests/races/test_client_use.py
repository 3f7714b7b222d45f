"""The record of a client's last use never lets its requests wait for each other."""

from datetime import timedelta

import pytest
from django.db import connection

from school.api.token_grants import record_use
from school.models import ApiClient
from tests.support.races import uncommitted

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap"),
]


def test_a_request_does_not_wait_for_another_that_records_the_use(api):
    """On a primary with a synchronous standby, the other may wait for that, with the row locked."""
    client = ApiClient.objects.get()
    assert client.last_used_at is not None
    client.last_used_at -= timedelta(hours=1)
    client.save()

    with uncommitted(lambda: record_use(client)):
        record_use(client)
        unchanged = ApiClient.objects.get().last_used_at

    assert unchanged == client.last_used_at
    assert ApiClient.objects.get().last_used_at > client.last_used_at
