"""Revokes and reactivates API clients."""

from collections.abc import Iterable

import structlog
from django.contrib.auth import get_user_model
from oauth2_provider.models import get_access_token_model

from school.models import ApiClient

logger = structlog.get_logger(__name__)


def revoke(client: ApiClient) -> None:
    """
    Revoke a client: delete its tokens, and deactivate its account so that it gets no new ones.

    This takes effect within a minute.
    """
    _set_active(client, is_active=False)
    revoke_tokens([client])
    logger.info("client_revoked", client_id=client.client_id)


def revoke_tokens(clients: Iterable[ApiClient]) -> None:
    """Delete the tokens of clients, which are then rejected within a minute. The clients can request new tokens."""
    for client in clients:
        count, _by_model = get_access_token_model().objects.filter(application=client).delete()
        logger.info("tokens_revoked", client_id=client.client_id, tokens=count)


def reactivate(client: ApiClient) -> None:
    """Reactivate a revoked client; its secret stays valid."""
    _set_active(client, is_active=True)
    logger.info("client_admitted", client_id=client.client_id)


def _set_active(client: ApiClient, *, is_active: bool) -> None:
    get_user_model().objects.filter(pk=client.user_id).update(is_active=is_active)
