"""Serializers for journal entries."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from school.api.openapi.example_decorators import example
from school.api.row_json import ComputedField
from school.api.serializers import StrictModelSerializer
from students.api.serializers import examples
from students.models import Action, EnrollmentEvent, Status
from students.templatetags.refusal_titles import titles

VALUE = {"type": ["string", "integer", "boolean", "null"]}


@extend_schema_field(
    {"type": "object", "additionalProperties": {"type": "array", "items": VALUE, "minItems": 2, "maxItems": 2}}
)
class ChangedValuesField(serializers.JSONField):
    """An object with an entry for each changed field: the field's name, and its values before and after the change."""


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class CodesField(serializers.JSONField):
    """A list of codes of rules."""


@extend_schema_field({"type": "string", "enum": ["", *Status.values]})
class EarlierStatusField(serializers.CharField):
    """The status that the enrollment had before an event."""


def _reason(request: Any, action: str, reason: str, refusals: list[str]) -> str:
    """
    Return the reason of an entry for a limited client.

    The reason why a student was passed over may name prerequisites that the client does not see, so the client gets the
    titles of the refusals instead.
    """
    return titles(refusals) if action == Action.PASS_OVER else reason


@example(examples.EVENT)
class EnrollmentEventSerializer(StrictModelSerializer):
    """A journal entry."""

    actor: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True, help_text="A user name.")
    from_status = EarlierStatusField(read_only=True, help_text=_("Empty for the first event of an enrollment."))
    changes = ChangedValuesField(read_only=True)
    waived = CodesField(read_only=True)
    refusals = CodesField(read_only=True)
    computed = {"reason": ComputedField(("action", "reason", "refusals"), _reason, only_limited=True)}

    class Meta:
        model = EnrollmentEvent
        fields = [
            "id",
            "action",
            "at",
            "actor",
            "channel",
            "from_status",
            "to_status",
            "changes",
            "reason",
            "waived",
            "refusals",
            "request_id",
        ]
        read_only_fields = fields
