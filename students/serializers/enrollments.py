"""Enrollments in JSON, in one shape everywhere, and what happened to them."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.serializers import CourseInBriefSerializer
from school.api.examples import example
from school.api.fields import KnownFieldsSerializer, StrictModelSerializer
from students.models import EnrollmentEvent, StudentCourse
from students.serializers import examples
from students.serializers.parties import StudentInBriefSerializer


@example(examples.ENROLLMENT)
class EnrollmentSerializer(StrictModelSerializer):
    """An enrollment, in the same shape everywhere."""

    student = StudentInBriefSerializer()
    course = CourseInBriefSerializer()
    waitlist_position = serializers.IntegerField(
        read_only=True,
        allow_null=True,
        help_text=_("The place in the line of who waits; null for who does not."),
    )

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


@example(examples.EVENT)
class EnrollmentEventSerializer(StrictModelSerializer):
    """A line of the journal."""

    actor: Any = serializers.SlugRelatedField("username", read_only=True, allow_null=True)
    from_status = serializers.CharField(read_only=True, help_text=_("Empty where the enrollment begins."))

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
    """A line of the journal, with what it is about."""

    enrollment = serializers.IntegerField(source="enrollment_id", read_only=True, help_text=_("The enrollment's id."))
    student = StudentInBriefSerializer(source="enrollment.student", read_only=True)
    course = CourseInBriefSerializer(source="enrollment.course", read_only=True)

    class Meta(EnrollmentEventSerializer.Meta):
        fields = ["id", "enrollment", "student", "course", *EnrollmentEventSerializer.Meta.fields[1:]]
        read_only_fields = fields


@example(examples.CHANGES)
class ChangesSerializer(serializers.Serializer[Any]):
    """A page of the change feed."""

    cursor = serializers.CharField(help_text=_("Come back with it as `after`, now or whenever."))
    has_more = serializers.BooleanField(help_text=_("Whether there is more to read at once."))
    results = ChangeSerializer(many=True, source="events")


class ChangesQuerySerializer(KnownFieldsSerializer):
    """What the change feed may be asked."""

    after = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=200,
        help_text=_("A cursor, or `latest` for one behind all there is. Without it the feed begins at its beginning."),
    )
    limit = serializers.IntegerField(default=100, min_value=1, max_value=500, help_text=_("Changes on a page."))
    wait = serializers.IntegerField(
        default=0,
        min_value=0,
        max_value=20,
        help_text=_("Seconds to hold the answer at most where there is nothing to read yet."),
    )
