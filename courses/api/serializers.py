"""Serializers of terms and courses."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from courses.lookup import term_not_found
from courses.models import Course, Term
from courses.prerequisites import check_prerequisites, filter_visible, visible_codes
from school.access.row_scope import filter_by_scope, outside_scope_refusal
from school.api.fields import BoundedListField, StrictCharField, StrictModelSerializer
from school.api.openapi.examples import example
from school.api.permissions import row_scope_of
from school.api.row_json import ComputedField
from school.refusals import Refused
from school.validators import normalized

TERM = {
    "code": "2026F",
    "name": "Fall 2026",
    "starts_on": "2026-09-01",
    "ends_on": "2027-01-31",
    "drop_deadline": "2026-10-15",
}


def visible_codes_for(request: Any) -> frozenset[str] | None:
    """
    Return the codes of the courses that the caller sees, read once for each request; None if the caller sees all
    courses.
    """
    if request is None:
        return None
    if not hasattr(request, "visible_codes"):
        request.visible_codes = visible_codes(row_scope_of(request))
    visible: frozenset[str] | None = request.visible_codes
    return visible


def _visible_prerequisites(request: Any, codes: list[str]) -> list[str]:
    return filter_visible(codes, visible_codes_for(request)) if codes else codes


@example(
    {"id": 3, **TERM},
    # The example is a term that the demo data does not have, so that a reader can send the body as it is.
    request={
        "code": "2030F",
        "name": "Fall 2030",
        "starts_on": "2030-09-01",
        "ends_on": "2031-01-31",
        "drop_deadline": "2030-10-15",
    },
)
class TermSerializer(StrictModelSerializer):
    class Meta:
        model = Term
        fields = ["id", "code", "name", "starts_on", "ends_on", "drop_deadline"]

    def to_internal_value(self, data: Any) -> Any:
        """
        Refuse a new code from a limited caller: a conflict would reveal the code of a term that the caller does not
        see.
        """
        term: Any = self.instance
        code = data.get("code") if isinstance(data, Mapping) else None
        is_limited = row_scope_of(self.context.get("request")) is not None
        if term and is_limited and isinstance(code, str) and normalized(code) != term.code:
            raise Refused([outside_scope_refusal()])
        return super().to_internal_value(data)


class TermCodeField(serializers.SlugRelatedField[Term]):
    """A term, given by its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="code", queryset=Term.objects.all(), **kwargs)

    def get_queryset(self) -> Any:
        """Return the terms that the caller sees."""
        return filter_by_scope(Term.objects.all(), row_scope_of(self.context.get("request")))

    def to_internal_value(self, data: Any) -> Term:
        if not isinstance(data, str):
            self.fail("invalid")
        code = normalized(data)
        # The query would fail, because PostgreSQL rejects NUL.
        terms = Term.objects.none() if "\0" in code else self.get_queryset()
        term: Term | None = terms.filter(code=code).first()
        if term is None:
            raise serializers.ValidationError(term_not_found(f"code:{code}", terms).message, code="does_not_exist")
        return term


class CourseSerializer(StrictModelSerializer):
    term = TermCodeField(allow_null=True, required=False)
    prerequisites = BoundedListField(
        child=StrictCharField(max_length=64),
        required=False,
        max_length=50,
        help_text=_("The codes of the courses that must be completed first, in any term."),
    )
    computed = {"prerequisites": ComputedField(("prerequisites",), _visible_prerequisites, only_limited=True)}

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
            course: Any = self.instance
            visible = visible_codes_for(self.context.get("request"))
            code = attrs.get("code", getattr(course, "code", ""))
            visible_prerequisites = filter_visible(course.prerequisites, visible) if course else []
            attrs["prerequisites"] = check_prerequisites(
                code,
                attrs.get("prerequisites", visible_prerequisites),
                course_id=getattr(course, "pk", None),
                visible=visible,
            )
        return attrs

    def _constraint_errors(self, attrs: dict[str, Any], exclude: set[str] | None = None) -> dict[str, Any]:
        if not exclude or "term" not in exclude:
            self._refuse_key_outside_limits(attrs)
        return super()._constraint_errors(attrs, exclude)

    def _refuse_key_outside_limits(self, attrs: dict[str, Any]) -> None:
        """
        Raise ``Refused`` if a limited caller gives a course a new code or term outside of the caller's terms.

        Otherwise a conflict with a course that the caller does not see would reveal the code of that course.
        """
        row_scope = row_scope_of(self.context.get("request"))
        course: Any = self.instance
        term = attrs.get("term", course and course.term)
        key = attrs.get("code", course and course.code), term
        if row_scope is None or (course and key == (course.code, course.term)):
            return
        terms = {each and each.pk for each in ([term, course.term] if course else [term])}
        if not terms <= row_scope.terms:
            raise Refused([outside_scope_refusal()])


@extend_schema_serializer(component_name="CourseSummary")
class CourseSummarySerializer(serializers.ModelSerializer[Course]):
    term: Any = serializers.SlugRelatedField("code", read_only=True, allow_null=True)

    class Meta:
        model = Course
        fields = ["id", "code", "name", "level", "term"]
