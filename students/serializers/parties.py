"""Students, and courses with their seats, in JSON."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from courses.models import Course
from courses.serializers import CourseSerializer
from school.api.examples import example
from school.api.fields import StrictModelSerializer
from students.models import Student
from students.seats import seats_of
from students.serializers import examples


@example(examples.STUDENT, request=examples.STUDENT_SENT)
class StudentSerializer(StrictModelSerializer):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name", "email", "is_active"]


class StudentInBriefSerializer(serializers.ModelSerializer[Student]):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name"]


class SeatsSerializer(serializers.Serializer[Any]):
    """How a course's seats are taken."""

    taken = serializers.IntegerField()
    free = serializers.IntegerField(allow_null=True, help_text=_("Null where there is no limit."))
    waiting = serializers.IntegerField(help_text=_("How many wait for a seat."))
    over = serializers.IntegerField(help_text=_("How many more are enrolled than there are seats."))


class WarningSerializer(serializers.Serializer[Any]):
    """Something about a resource that is allowed, and that one should know."""

    code = serializers.CharField()
    message = serializers.CharField()


@example(examples.COURSE, request=examples.COURSE_SENT)
class CourseWithSeatsSerializer(CourseSerializer):
    seats = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta(CourseSerializer.Meta):
        fields = [*CourseSerializer.Meta.fields, "seats", "warnings"]

    @extend_schema_field(SeatsSerializer)
    def get_seats(self, course: Course) -> dict[str, Any]:
        return dict(SeatsSerializer(seats_of(course)).data)

    @extend_schema_field(WarningSerializer(many=True))
    def get_warnings(self, course: Course) -> list[dict[str, Any]]:
        return list(WarningSerializer(seats_of(course).warnings, many=True).data)
