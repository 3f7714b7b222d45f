"""The operations on endpoints that the API and the admin share."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from webhooks.models import Endpoint, EndpointState, PauseReason
from webhooks.outbox import latest_positions, positions_of
from webhooks.signing_secrets import encrypt, new_secret

logger = structlog.get_logger(__name__)

ROTATION = timedelta(hours=24)  # for which messages are signed with the previous secret, too


def register(endpoint: Endpoint) -> str:
    """Save a new endpoint, which gets the changes from now on; return its secret, which is shown only now."""
    secret = new_secret()
    endpoint.secret = encrypt(secret)
    endpoint.positions = latest_positions(endpoint.kinds)
    endpoint.save()
    logger.info("webhook_registered", webhook_id=endpoint.pk)
    return secret


@transaction.atomic
def rotate(endpoint_id: int) -> str:
    """Replace the secret, and return the new one. The previous one is valid for ``ROTATION``."""
    secret, endpoint = new_secret(), _lock(endpoint_id)
    endpoint.previous_secret, endpoint.secret = endpoint.secret, encrypt(secret)
    endpoint.previous_secret_until = timezone.now() + ROTATION
    endpoint.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
    logger.info("webhook_rotated", webhook_id=endpoint_id)
    return secret


def change(endpoint: Endpoint, fields: Sequence[str]) -> None:
    """Save changed fields of an endpoint that is locked. A kind that is new is delivered from now on."""
    [kinds] = Endpoint.objects.filter(pk=endpoint.pk).values_list("kinds", flat=True)
    if added := [kind for kind in endpoint.kinds if kind not in kinds]:
        # The worker that delivers at the moment takes the positions from here.
        endpoint.requested_positions = {**(endpoint.requested_positions or {}), **latest_positions(added)}
    endpoint.save(update_fields=[*fields, "requested_positions"])


def pause(endpoint_id: int) -> None:
    """Stop the delivery after the current message."""
    paused = {"state": EndpointState.PAUSED, "pause_reason": PauseReason.REQUEST}
    if Endpoint.objects.filter(pk=endpoint_id, state=EndpointState.ACTIVE).update(**paused):
        logger.info("webhook_paused", webhook_id=endpoint_id, reason=PauseReason.REQUEST.value)


def resume(endpoint_id: int) -> None:
    """Continue the delivery from the position of the endpoint, at once."""
    active: dict[str, Any] = {"state": EndpointState.ACTIVE, "pause_reason": "", "attempts": 0}
    if Endpoint.objects.filter(pk=endpoint_id).update(**active, next_attempt_at=timezone.now()):
        logger.info("webhook_resumed", webhook_id=endpoint_id)


def replay(endpoint: Endpoint, after: str) -> None:
    """
    Deliver again what follows a cursor of the change feed, or everything for "".

    Raise ``ValidationError`` for a text that is no cursor.
    """
    positions = positions_of(after, endpoint.kinds)
    Endpoint.objects.filter(pk=endpoint.pk).update(
        requested_positions=positions, attempts=0, next_attempt_at=timezone.now()
    )
    logger.info("webhook_replayed", webhook_id=endpoint.pk)


def ping(endpoint_id: int) -> str:
    """Request a message of the type ``ping``, also for a paused endpoint; return its ``webhook-id``."""
    message_id = f"ping_{secrets.token_hex(12)}"
    Endpoint.objects.filter(pk=endpoint_id).update(requested_ping=message_id)
    return message_id


def _lock(endpoint_id: int) -> Endpoint:
    return Endpoint.objects.select_for_update().get(pk=endpoint_id)
