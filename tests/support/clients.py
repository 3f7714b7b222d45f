"""
Test clients that share a handler, because loading all middleware for a client takes as long as a request.

A test that changes a setting which middleware reads when it is loaded makes its own client after the change.
"""

from typing import Any

from django.core.signals import setting_changed
from django.test import Client
from rest_framework.test import APIClient

from courses.api_client_creation import Credentials

_handlers: dict[type[Client], Any] = {}


def browser_client() -> Client:
    client = Client()
    client.handler = _shared(client)
    return client


def api_client(keys: Credentials) -> APIClient:
    """Return an API client with a token from the token endpoint."""
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = browser_client().post("/oauth/token", form).json()["access_token"]
    client = APIClient()
    client.handler = _shared(client)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def _shared(client: Client) -> Any:
    """Return the handler of the first client of this class since the last change of a setting."""
    return _handlers.setdefault(type(client), client.handler)


def _forget(**_options: Any) -> None:
    _handlers.clear()


setting_changed.connect(_forget)
