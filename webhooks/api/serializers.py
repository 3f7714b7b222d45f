"""Serializers of the webhooks API."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from school.api.fields import BoundedListField, StrictCharField, StrictIntegerField
from school.api.openapi.example_decorators import example, request_example
from school.api.serializers import KnownFieldsSerializer, StrictModelSerializer
from students.events.kinds import KINDS
from webhooks.models import Attempt, Endpoint, Outcome, PauseReason

MAX_COURSES = 1_000
REQUEST = {"url": "https://hooks.example/school", "kinds": ["enrollments"], "description": "Learning platform"}
ENDPOINT = {
    "id": 3,
    **REQUEST,
    "courses": [],
    "state": "active",
    "pause_reason": "",
    "created_at": "2026-08-20T09:15:00Z",
    "attempts": 0,
    "next_attempt_at": "2026-08-20T09:15:00Z",
    "delivered_at": None,
    "failed_at": None,
    "last_failure": "",
}
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105  # an example
ATTEMPT = {
    "id": 12,
    "message_id": "enrollments_71_0f9b2c64d1a84e57",
    "type": "enrollment.created",
    "at": "2026-08-20T09:15:01Z",
    "outcome": "delivered",
    "status": 200,
    "milliseconds": 41,
}


class CourseIdsField(BoundedListField):
    """Ids of courses. Each is listed once."""

    child = StrictIntegerField(min_value=1, max_value=2**63 - 1)

    def to_internal_value(self, data: Any) -> list[int]:
        return list(dict.fromkeys(super().to_internal_value(data)))


class KindsField(BoundedListField):
    """Kinds of changes, in the order of the change feed."""

    child = serializers.ChoiceField(choices=[*KINDS])

    def to_internal_value(self, data: Any) -> list[str]:
        sent = super().to_internal_value(data)
        return [kind for kind in KINDS if kind in sent]


@example(ENDPOINT, request=REQUEST)
@extend_schema_serializer(component_name="Webhook")
class EndpointSerializer(StrictModelSerializer):
    """A webhook: a URL, the changes that it gets, and the state of the delivery."""

    kinds = KindsField(min_length=1, max_length=20, help_text=_("The kinds of changes."))
    courses = CourseIdsField(
        max_length=MAX_COURSES, default=list, help_text=_("Ids of courses. Empty: the changes of all courses.")
    )
    pause_reason = serializers.ChoiceField(choices=PauseReason.choices, allow_blank=True, read_only=True)
    last_failure = serializers.ChoiceField(choices=Outcome.choices, allow_blank=True, read_only=True)

    class Meta:
        model = Endpoint
        fields = [
            "id",
            "url",
            "kinds",
            "courses",
            "description",
            "state",
            "pause_reason",
            "created_at",
            "attempts",
            "next_attempt_at",
            "delivered_at",
            "failed_at",
            "last_failure",
        ]
        read_only_fields = [*fields[6:], "id"]

    def _constraint_errors(self, attrs: dict[str, Any], exclude: set[str] | None = None) -> dict[str, Any]:
        """Return no errors: the only constraint is about the pause, which ``webhooks.endpoints`` writes."""
        return {}


@example({**ENDPOINT, "secret": SECRET})
@extend_schema_serializer(component_name="NewWebhook")
class NewEndpointSerializer(EndpointSerializer):
    """A new webhook with its secret, which no later response has."""

    secret = serializers.CharField(read_only=True)

    class Meta(EndpointSerializer.Meta):
        fields = [*EndpointSerializer.Meta.fields, "secret"]


@example({"secret": SECRET})
class SecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField()


@example({"message_id": "ping_5f2d8a7b9c0e4d6f8a1b2c3d"})
class PingSerializer(serializers.Serializer[Any]):
    message_id = serializers.CharField(help_text=_("The header webhook-id of the message."))


@request_example({"after": ""})
class ReplaySerializer(KnownFieldsSerializer):
    after = StrictCharField(
        max_length=500, allow_blank=True, help_text=_("A cursor of the change feed. Empty: from its beginning.")
    )


@example(ATTEMPT)
@extend_schema_serializer(component_name="WebhookAttempt")
class AttemptSerializer(StrictModelSerializer):
    """An attempt to deliver a message."""

    class Meta:
        model = Attempt
        fields = ["id", "message_id", "type", "at", "outcome", "status", "milliseconds"]
        read_only_fields = fields
