"""Serializers for the change feed."""

from functools import cache
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.api.serializers import CourseSummarySerializer
from school.api.fields import QueryIntegerField
from school.api.openapi.example_decorators import example
from school.api.row_json import RowTemplate, row_template
from school.api.serializers import KnownFieldsSerializer
from students.api.serializers import examples
from students.api.serializers.enrollment_events import EnrollmentEventSerializer
from students.api.serializers.students import StudentSummarySerializer


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
