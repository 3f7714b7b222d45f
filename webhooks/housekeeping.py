"""The regular work on webhooks: old attempts are deleted, and secrets are encrypted with the current key."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from webhooks.models import Attempt, Endpoint
from webhooks.signing_secrets import UnreadableSecret, encrypt_anew, is_current


def clean_up() -> Iterator[str]:
    """Delete attempts after their period, and forget previous secrets; yield a sentence about each step."""
    now = timezone.now()
    old = Attempt.objects.filter(at__lt=now - timedelta(days=settings.RETENTION_ATTEMPTS_DAYS))
    yield f"{old.delete()[0]} attempts of webhooks."
    Endpoint.objects.filter(previous_secret_until__lt=now).update(previous_secret="", previous_secret_until=None)
    yield f"{_encrypt_anew()} secrets of webhooks encrypted with the current SECRET_KEY."


def _encrypt_anew() -> int:
    """Encrypt the secrets with the current key that are encrypted with a former one; return their number."""
    number = 0
    for endpoint_id in Endpoint.objects.values_list("pk", flat=True):
        with transaction.atomic():
            endpoint = Endpoint.objects.select_for_update().filter(pk=endpoint_id).first()
            if endpoint is None:
                continue
            for name in ("secret", "previous_secret"):
                stored = getattr(endpoint, name)
                if stored and not is_current(stored):
                    with suppress(UnreadableSecret):  # the next delivery pauses the endpoint
                        setattr(endpoint, name, encrypt_anew(stored))
                        number += 1
            endpoint.save(update_fields=["secret", "previous_secret"])
    return number
