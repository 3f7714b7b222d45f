"""Serializers of terms, courses and grades."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty

from courses.corequisites import check_corequisites
from courses.grades import table_refusals
from courses.lookup import term_not_found
from courses.meetings import DAYS, MAX_MEETINGS, MAX_PLACE, Meeting, clean_meetings
from courses.models import Course, Grade, Term
from courses.prerequisite_items import MAX_ALTERNATIVES, MAX_ITEMS, Item
from courses.prerequisites import (
    check_prerequisites,
    check_visibility,
    filter_visible,
    lock_prerequisites,
    visible_codes,
)
from school.access.row_scope import filter_by_scope, outside_scope_refusal
from school.api.fields import BoundedListField, StrictCharField
from school.api.openapi.example_decorators import example
from school.api.permissions import row_scope_of
from school.api.row_json import ComputedField
from school.api.serializers import KnownFieldsSerializer, StrictModelSerializer
from school.i18n.stored_messages import message_of
from school.refusals import Refused
from school.text_normalization import normalized

TERM = {
    "code": "2026F",
    "name": "Fall 2026",
    "starts_on": "2026-09-01",
    "ends_on": "2027-01-31",
    "drop_deadline": "2026-10-15",
    "census_on": "2026-10-01",
    "max_credits": 18,
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


def _visible_prerequisites(request: Any, items: list[Item]) -> list[Item]:
    return filter_visible(items, visible_codes_for(request)) if items else items


@example(
    {"id": 3, **TERM},
    # The example is a term that the demo data does not have, so that a reader can send the body as it is.
    request={
        "code": "2030F",
        "name": "Fall 2030",
        "starts_on": "2030-09-01",
        "ends_on": "2031-01-31",
        "drop_deadline": "2030-10-15",
        "census_on": "2030-10-01",
        "max_credits": 18,
    },
)
class TermSerializer(StrictModelSerializer):
    class Meta:
        model = Term
        fields = ["id", "code", "name", "starts_on", "ends_on", "drop_deadline", "census_on", "max_credits"]
        extra_kwargs = {"max_credits": {"help_text": ""}}  # the names say enough

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


@example({"id": 1, "code": "B", "passes": True, "rank": 3}, request={"code": "E", "passes": False, "rank": None})
class GradeSerializer(StrictModelSerializer):
    class Meta:
        model = Grade
        fields = ["id", "code", "passes", "rank"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        lock_prerequisites()
        stored: Any = self.instance
        values = {name: getattr(stored, name) for name in ("code", "passes", "rank")} if stored else {}
        refusals = table_refusals(Grade(**{**values, **attrs}), [stored.pk] if stored else [])
        if refusals:
            errors: dict[str, list[Any]] = {}
            for each in refusals:
                errors.setdefault(str(each.field), []).append(serializers.ErrorDetail(each.message, each.code))
            raise serializers.ValidationError(errors)
        return attrs


class CodeField(StrictCharField):
    """The code of a course as a part of an item of prerequisites."""

    def __init__(self) -> None:
        super().__init__(max_length=64)


class MinimumGradeSerializer(KnownFieldsSerializer):
    course = CodeField()
    grade = StrictCharField(max_length=32)


@extend_schema_field(
    {
        "anyOf": [
            {"type": "string", "maxLength": 64},
            {
                "type": "array",
                "items": {"type": "string", "maxLength": 64},
                "minItems": 1,
                "maxItems": MAX_ALTERNATIVES,
            },
            {
                "type": "object",
                "properties": {"course": {"type": "string"}, "grade": {"type": "string"}},
                "required": ["course", "grade"],
            },
        ],
        "description": "A code, alternative codes, or a course and the grade that it needs at least.",
    },
    component_name="Prerequisite",
)
class PrerequisiteField(serializers.Field[Any, Any, Any, Any]):
    """An item of prerequisites: a code, a list of codes, or an object with a course and a minimum grade."""

    default_error_messages = {"invalid": _("Write a code, a list of codes, or an object with course and grade.")}
    code = CodeField()
    alternatives = BoundedListField(child=CodeField(), min_length=1, max_length=MAX_ALTERNATIVES)

    def to_internal_value(self, data: Any) -> Item:
        if isinstance(data, str):
            return str(self.code.run_validation(data))
        if isinstance(data, list):
            return list(self.alternatives.run_validation(data))
        if not isinstance(data, dict):
            self.fail("invalid")
        return dict(MinimumGradeSerializer().run_validation(data))

    def to_representation(self, value: Item) -> Item:
        return value


@extend_schema_field(
    {
        "type": "array",
        "maxItems": MAX_MEETINGS,
        "items": {
            "type": "object",
            "properties": {
                "day": {"type": "string", "enum": [*DAYS]},
                "from": {"type": "string", "example": "10:00"},
                "to": {"type": "string", "example": "11:30"},
                "starts_on": {"type": ["string", "null"], "format": "date"},
                "ends_on": {"type": ["string", "null"], "format": "date"},
                "place": {"type": "string", "maxLength": MAX_PLACE},
            },
            "required": ["day", "from", "to"],
        },
    },
    component_name="Meetings",
)
class MeetingListField(serializers.Field[Any, Any, Any, Any]):
    """The weekly meetings of a course, a list of objects."""

    def to_internal_value(self, data: Any) -> list[Meeting]:
        try:
            return clean_meetings(data)
        except ModelError as error:
            details = [serializers.ErrorDetail(message_of(each), each.code) for each in error.error_list]
            raise serializers.ValidationError(details) from None

    def to_representation(self, value: list[Meeting]) -> list[Meeting]:
        return value


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
        if (known := self.context.get("terms")) is not None:
            return self._find_known(code, known)
        # The query would fail, because PostgreSQL rejects NUL.
        terms = Term.objects.none() if "\0" in code else self.get_queryset()
        term: Term | None = terms.filter(code=code).first()
        if term is None:
            raise serializers.ValidationError(term_not_found(f"code:{code}", terms).message, code="does_not_exist")
        return term

    @staticmethod
    def _find_known(code: str, terms: Mapping[str, Term]) -> Term:
        """Return a term of a mapping by codes, or raise the same ``ValidationError`` as for a single request."""
        if code not in terms:
            raise serializers.ValidationError(term_not_found(f"code:{code}", terms).message, code="does_not_exist")
        return terms[code]


class ItemListField(BoundedListField):
    """
    The prerequisites or corequisites of a course.

    The list that the caller reads is accepted unchanged, because it may be from before the limits.
    """

    def run_validation(self, data: Any = empty) -> Any:
        course = getattr(self.parent, "instance", None)
        if isinstance(course, Course) and isinstance(data, list):
            readable = _visible_prerequisites(self.context.get("request"), getattr(course, str(self.field_name)))
            if data == readable:
                return readable
        return super().run_validation(data)


class CourseSerializer(StrictModelSerializer):
    term = TermCodeField(allow_null=True, required=False)
    prerequisites = ItemListField(
        child=PrerequisiteField(),
        required=False,
        max_length=MAX_ITEMS,
        help_text=_("The codes of the courses that must be completed first, in any term."),
    )
    meetings = MeetingListField(required=False)
    corequisites = ItemListField(child=CodeField(), required=False, max_length=MAX_ITEMS)
    computed = {
        name: ComputedField((name,), _visible_prerequisites, only_limited=True)
        for name in ("prerequisites", "corequisites")
    }

    class Meta:
        model = Course
        fields = [
            "id",
            "code",
            "name",
            "level",
            "term",
            "section",
            "capacity",
            "waitlist_capacity",
            "enrollment_opens_at",
            "enrollment_closes_at",
            "is_active",
            "prerequisites",
            "credits",
            "meetings",
            "corequisites",
        ]
        extra_kwargs = {"credits": {"help_text": ""}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        course: Any = self.instance
        visible = visible_codes_for(self.context.get("request"))
        if (added := self.context.get("added_codes")) is not None:  # the saver checks the rest for all items
            for name in ("prerequisites", "corequisites"):
                if name in attrs:
                    stored = getattr(course, name) if course else []
                    attrs[name] = check_visibility(attrs[name], stored, visible, added, field=name)
            return attrs
        code = attrs.get("code", getattr(course, "code", ""))
        course_id = getattr(course, "pk", None)
        if "corequisites" in attrs or (course and code != course.code):
            stored = filter_visible(course.corequisites, visible) if course else []
            corequisites = attrs.get("corequisites", stored)
            checked = check_corequisites(code, corequisites, course_id=course_id, visible=visible)
            if "corequisites" in attrs:
                attrs["corequisites"] = checked
        if "prerequisites" in attrs or "code" in attrs:
            visible_prerequisites = filter_visible(course.prerequisites, visible) if course else []
            attrs["prerequisites"] = check_prerequisites(
                code, attrs.get("prerequisites", visible_prerequisites), course_id=course_id, visible=visible
            )
        return attrs

    def _constraint_errors(self, attrs: dict[str, Any], exclude: set[str] | None = None) -> dict[str, Any]:
        if not exclude or "term" not in exclude:
            self._refuse_key_outside_limits(attrs)
        return super()._constraint_errors(attrs, exclude)

    def _refuse_key_outside_limits(self, attrs: dict[str, Any]) -> None:
        """
        Raise ``Refused`` if a limited caller gives a course a new code, term or section outside of the caller's terms.

        Otherwise a conflict with a course that the caller does not see would reveal the code of that course.
        """
        row_scope = row_scope_of(self.context.get("request"))
        course: Any = self.instance
        term = attrs.get("term", course and course.term)
        key = attrs.get("code", course and course.code), term, attrs.get("section", course.section if course else "")
        if row_scope is None or (course and key == (course.code, course.term, course.section)):
            return
        terms = {each and each.pk for each in ([term, course.term] if course else [term])}
        if not terms <= row_scope.terms:
            raise Refused([outside_scope_refusal()])


@extend_schema_serializer(component_name="CourseSummary")
class CourseSummarySerializer(serializers.ModelSerializer[Course]):
    term: Any = serializers.SlugRelatedField("code", read_only=True, allow_null=True)

    class Meta:
        model = Course
        fields = ["id", "code", "name", "level", "term", "section"]
