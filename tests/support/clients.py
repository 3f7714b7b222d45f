"""Test clients that share a handler, because loading all middleware for a client takes as long as a request."""

from typing import Any

from django.core.signals import setting_changed
from django.test import Client
from rest_framework.test import APIClient

from courses.api_client_creation import Credentials

_handlers: dict[type[Client], Any] = {}


def browser_client() -> Client:
    client = Client()
    client.handler = _shared_handler(Client)
    return client


def api_client(keys: Credentials) -> APIClient:
    """Return an API client with a token from the token endpoint."""
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = browser_client().post("/oauth/token", form).json()["access_token"]
    client = APIClient()
    client.handler = _shared_handler(APIClient)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def _shared_handler(client_class: type[Client]) -> Any:
    """Return a handler for clients of a class, which loads the middleware again after a change of any setting."""

    def respond(environ: dict[str, Any]) -> Any:
        if client_class not in _handlers:
            _handlers[client_class] = client_class().handler
        return _handlers[client_class](environ)

    return respond


def _forget(**_options: Any) -> None:
    _handlers.clear()


setting_changed.connect(_forget)
