"""Serializers for enrollments and their journal entries."""

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.api.serializers import CourseSummarySerializer
from courses.models import Course
from school.api.openapi.example_decorators import example
from school.api.serializers import StrictModelSerializer
from students.api.serializers import examples
from students.api.serializers.students import StudentSummarySerializer
from students.models import StudentCourse


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
    instead_of = serializers.PrimaryKeyRelatedField[Course](
        read_only=True,
        allow_null=True,
        help_text=_("The id of the course that a waitlisted student leaves for the seat."),
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
            "instead_of",
            "enrolled_on",
            "ended_on",
            "grade",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields
