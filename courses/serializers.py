"""Terms and courses in JSON."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.models import Course, Term
from courses.prerequisites import check_prerequisites
from school.api.examples import example
from school.api.fields import StrictCharField, StrictModelSerializer
from school.api.permissions import limits_of
from school.limits import within

TERM = {
    "code": "2026F",
    "name": "Fall 2026",
    "starts_on": "2026-09-01",
    "ends_on": "2027-01-31",
    "drop_deadline": "2026-10-15",
}


@example({"id": 3, **TERM}, request=TERM)
class TermSerializer(StrictModelSerializer):
    class Meta:
        model = Term
        fields = ["id", "code", "name", "starts_on", "ends_on", "drop_deadline"]


class TermCodeField(serializers.SlugRelatedField[Term]):
    """A term by its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="code", queryset=Term.objects.all(), **kwargs)

    def get_queryset(self) -> Any:
        """The terms that are there for the caller."""
        return within(Term.objects.all(), limits_of(self.context.get("request")))

    def to_internal_value(self, data: Any) -> Term:
        if not isinstance(data, str):
            self.fail("invalid")
        if "\0" in data:  # PostgreSQL cannot compare it
            self.fail("does_not_exist", slug_name="code", value=data)
        return super().to_internal_value(data)


class CourseSerializer(StrictModelSerializer):
    term = TermCodeField(allow_null=True, required=False)
    prerequisites = serializers.ListField(
        child=StrictCharField(max_length=64),
        required=False,
        max_length=50,
        help_text=_("The codes of what must be completed first, whatever the term."),
    )

    class Meta:
        model = Course
        fields = [
            "id",
            "code",
            "name",
            "level",
            "term",
            "capacity",
            "waitlist_capacity",
            "enrollment_opens_at",
            "enrollment_closes_at",
            "is_active",
            "prerequisites",
        ]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "prerequisites" in attrs or "code" in attrs:
            stored = self.instance
            code = attrs.get("code", getattr(stored, "code", ""))
            prerequisites = attrs.get("prerequisites", getattr(stored, "prerequisites", []))
            check_prerequisites(code, prerequisites, course_id=getattr(stored, "pk", None))
        return attrs


class CourseInBriefSerializer(serializers.ModelSerializer[Course]):
    term: Any = serializers.SlugRelatedField("code", read_only=True, allow_null=True)

    class Meta:
        model = Course
        fields = ["id", "code", "name", "level", "term"]
