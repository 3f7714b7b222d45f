"""Models: webhook endpoints, the attempts to deliver to them, and the number of attempts since the beginning."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webhooks.target_url import MAX_URL, validate_target_url


class EndpointState(models.TextChoices):
    ACTIVE = "active", _("active")
    PAUSED = "paused", _("paused")


class PauseReason(models.TextChoices):
    """The reasons why nothing is delivered to an endpoint."""

    REQUEST = "request", _("paused by a user or a client")
    FAILURES = "failures", _("all attempts have failed")
    GONE = "gone", _("the receiver answered 410")
    ACCESS = "access", _("the client is revoked, or lacks a scope")
    CURSOR = "cursor_expired", _("the changes after the cursor have been deleted")
    SECRET = "secret", _("the secret cannot be decrypted")  # the name of a reason


class Outcome(models.TextChoices):
    """The outcome of an attempt. Only the first one means that the message was delivered."""

    DELIVERED = "delivered", _("delivered")
    STATUS = "status", _("the answer is no 2xx")
    TIMEOUT = "timeout", _("no answer in time")
    CONNECTION = "connection", _("the connection failed")
    TLS = "tls", _("the TLS connection failed")
    NAME = "name", _("the host name was not found")
    ADDRESS = "address", _("the address is not allowed")


def now() -> datetime:
    return timezone.now()


class Endpoint(models.Model):
    """
    A URL that gets the changes of the feed.

    ``positions`` has, for each kind, the last entry that the endpoint has received: ``[id, digest]``. A replay writes
    ``requested_positions``; the worker that holds the lease continues from there. Empty ``courses`` is all courses.
    An endpoint without a client belongs to the staff. ``attempts`` counts the failures of the next message.
    """

    client = models.ForeignKey(
        settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("API client"),
    )
    url = models.CharField(_("URL"), max_length=MAX_URL, validators=[validate_target_url])
    kinds = models.JSONField(_("kinds"), default=list)
    courses = models.JSONField(_("courses"), default=list, blank=True)
    description = models.CharField(_("description"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    secret = models.TextField(editable=False)
    previous_secret = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=EndpointState, default=EndpointState.ACTIVE)
    pause_reason = models.CharField(_("reason of the pause"), max_length=16, choices=PauseReason, blank=True)
    positions = models.JSONField(default=dict, editable=False)
    requested_positions = models.JSONField(null=True, editable=False)
    requested_ping = models.CharField(max_length=64, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("failed attempts"), default=0, editable=False)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=now, editable=False)
    delivered_at = models.DateTimeField(_("last delivery"), null=True, editable=False)
    failed_at = models.DateTimeField(_("last failure"), null=True, editable=False)
    last_failure = models.CharField(
        _("cause of the last failure"), max_length=16, choices=Outcome, blank=True, editable=False
    )
    lease_owner = models.CharField(max_length=255, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [
            models.CheckConstraint(
                name="paused_webhook_has_a_reason", condition=Q(state="active", pause_reason="") | ~Q(pause_reason="")
            ),
        ]

    def __str__(self) -> str:
        return self.description or self.url


class Attempt(models.Model):
    """
    An attempt to deliver a message.

    ``message_id`` is the header ``webhook-id``, and the same in all attempts. ``status`` is the HTTP status, None
    without an answer. Nothing else of the answer is stored.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="+", verbose_name=_("webhook"))
    message_id = models.CharField(_("message"), max_length=64)
    type = models.CharField(_("type"), max_length=40)
    at = models.DateTimeField(_("at"), db_index=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    milliseconds = models.PositiveIntegerField(_("milliseconds"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("attempt of a webhook")
        verbose_name_plural = _("attempts of webhooks")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.message_id}: {self.outcome}"


class AttemptCount(models.Model):
    """The number of all attempts with an outcome, for the metrics. It outlives the attempts."""

    outcome = models.CharField(max_length=16, choices=Outcome, primary_key=True)
    number = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.outcome}: {self.number}"
