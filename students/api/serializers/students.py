"""Serializers for students."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from school.api.openapi.example_decorators import example
from school.api.serializers import StrictModelSerializer
from students.api.serializers import examples
from students.models import Student


@example(examples.STUDENT, request=examples.STUDENT_REQUEST)
class StudentSerializer(StrictModelSerializer):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name", "email", "max_credits", "is_active"]
        extra_kwargs = {"max_credits": {"help_text": ""}}


@extend_schema_serializer(component_name="StudentSummary")
class StudentSummarySerializer(serializers.ModelSerializer[Student]):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name"]
