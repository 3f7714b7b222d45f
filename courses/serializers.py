"""Terms and courses in JSON."""

from typing import Any

from rest_framework import serializers

from courses.models import Course, Term
from school.api.fields import StrictModelSerializer


class TermSerializer(StrictModelSerializer):
    class Meta:
        model = Term
        fields = ["id", "code", "name", "starts_on", "ends_on", "drop_deadline"]


class TermCodeField(serializers.SlugRelatedField[Term]):
    """A term by its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="code", queryset=Term.objects.all(), **kwargs)

    def to_internal_value(self, data: Any) -> Term:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class CourseSerializer(StrictModelSerializer):
    term = TermCodeField(allow_null=True, required=False)

    class Meta:
        model = Course
        fields = [
            "id",
            "code",
            "name",
            "level",
            "term",
            "capacity",
            "enrollment_opens_at",
            "enrollment_closes_at",
            "is_active",
        ]


class CourseInBriefSerializer(serializers.ModelSerializer[Course]):
    term: Any = serializers.SlugRelatedField("code", read_only=True, allow_null=True)

    class Meta:
        model = Course
        fields = ["id", "code", "name", "level", "term"]
