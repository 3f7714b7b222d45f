"""Serializers for enrollments, their journal entries and the change feed."""

from functools import cache
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from courses.api.serializers import CourseSummarySerializer
from school.api.fields import KnownFieldsSerializer, QueryIntegerField, StrictModelSerializer
from school.api.openapi.examples import example
from school.api.row_json import ComputedField, RowTemplate, row_template
from students.api.serializers import examples
from students.api.serializers.students import StudentSummarySerializer
from students.models import Action, EnrollmentEvent, Status, StudentCourse
from students.templatetags.refusal_titles import titles


@example(examples.ENROLLMENT)
class EnrollmentSerializer(StrictModelSerializer):
    """An enrollment. All responses show enrollments with these fields."""

    student = StudentSummarySerializer()
    course = CourseSummarySerializer()
    waitlist_position = serializers.IntegerField(
        read_only=True,
        allow_null=True,
        help_text=_("The position on the waitlist; null if the student is not waitlisted."),
    )
    annotated = {"waitlist_position": "annotated_waitlist_position"}

    class Meta:
        model = StudentCourse
        fields = [
            "id",
            "student",
            "course",
            "status",
            "waitlist_position",
            "enrolled_on",
            "ended_on",
            "grade",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


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

    actor: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True)
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


class ChangeSerializer(EnrollmentEventSerializer):
    """A journal entry, with its enrollment, student and course."""

    enrollment = serializers.IntegerField(
        source="enrollment_id", read_only=True, help_text=_("The id of the enrollment.")
    )
    student = StudentSummarySerializer(source="enrollment.student", read_only=True)
    course = CourseSummarySerializer(source="enrollment.course", read_only=True)

    class Meta(EnrollmentEventSerializer.Meta):
        fields = ["id", "enrollment", "student", "course", *EnrollmentEventSerializer.Meta.fields[1:]]
        read_only_fields = fields


@cache
def change_template(*, is_limited: bool = False) -> RowTemplate:
    """Return the template of an entry in the change feed."""
    return row_template(ChangeSerializer(), is_limited=is_limited)


@example(examples.CHANGES)
class ChangesSerializer(serializers.Serializer[Any]):
    """A page of the change feed."""

    cursor = serializers.CharField(
        help_text=_("The cursor for the next request, to send as `after`. It can be stored.")
    )
    has_more = serializers.BooleanField(help_text=_("True if there are more changes that can be read immediately."))
    results = ChangeSerializer(many=True, source="events")


class ChangesQuerySerializer(KnownFieldsSerializer):
    """The query parameters of the change feed."""

    after = serializers.CharField(
        trim_whitespace=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text=_(
            "A cursor, or `latest` for the cursor after the newest change. Without it, the feed starts at the "
            "oldest change."
        ),
    )
    limit = QueryIntegerField(
        default=100, min_value=1, max_value=500, help_text=_("Maximum number of changes on the page.")
    )
    wait = QueryIntegerField(
        default=0,
        min_value=0,
        max_value=20,
        help_text=_("Maximum number of seconds to wait for changes if there are none yet."),
    )
