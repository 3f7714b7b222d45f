"""
Serializers that check the format of request bodies.

``students.enrollment.rules`` decides if a command is allowed.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from courses.lookup import (
    MAX_KEY_LENGTH,
    CourseKey,
    courses_by_key,
    find_course,
    visible_course_id,
)
from courses.models import Course
from school.access.row_scope import RowScope, filter_by_scope
from school.api.fields import BoundedListField, StrictCharField, StrictIntegerField
from school.api.openapi.example_decorators import request_example
from school.api.serializers import DryRunMixin, KnownFieldsSerializer
from school.identifiers import MAX_ID, parse_id
from school.refusals import Refusal, Refused
from school.validators import plain_text
from students.api.serializers import examples
from students.api.serializers.enrollments import EnrollmentSerializer
from students.enrollment.commands import OnFull
from students.enrollment.rules import validate_waiver
from students.models import Status, StudentCourse


class ReasonMixin(KnownFieldsSerializer):
    reason = StrictCharField(
        max_length=1000, allow_blank=True, default="", validators=[plain_text], help_text=_("Stored in the journal.")
    )


class CourseReferenceSerializer(KnownFieldsSerializer):
    """A course, by its id, or by its code and, if several courses have this code, the term's code and the section."""

    course_id = StrictIntegerField(
        min_value=1,
        max_value=MAX_ID,
        required=False,
        error_messages={"invalid": _("An id is an integer. The code of a course belongs in course_code.")},
    )
    course_code = StrictCharField(max_length=64, required=False)
    term = StrictCharField(max_length=32, required=False)
    section = StrictCharField(max_length=16, allow_blank=True, required=False)

    default_error_messages = {
        "which_course": _("Give exactly one of course_id and course_code."),
        "term_of_code": _("A term can only be given together with course_code."),
        "section_of_code": _("A section can only be given together with course_code."),
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("course_id" in attrs) == ("course_code" in attrs):
            self.fail("which_course")
        for name in ("term", "section"):
            if name in attrs and "course_code" not in attrs:
                raise serializers.ValidationError(
                    {name: self.error_messages[f"{name}_of_code"]}, code=f"{name}_of_code"
                )
        return attrs


def course_key_from(body: dict[str, Any]) -> CourseKey | None:
    """Return the key of the course in a valid body; None if the body names the course by id."""
    if "course_code" not in body:
        return None
    return CourseKey(body["course_code"], body.get("term", ""), body.get("section", ""))


@extend_schema_field({"type": ["integer", "string"], "example": 5})
class CourseIdentifierField(serializers.Field[Any, Any, Any, Any]):
    """A course, given by its id or by its key as in a path: ``code:MATH-101@2026F``."""

    default_error_messages = {"invalid": _("Write the id of a course, or code: and its key.")}
    key = StrictCharField(max_length=MAX_KEY_LENGTH + len("code:"))
    id = StrictIntegerField(min_value=1, max_value=MAX_ID)

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, str):
            text = str(self.key.run_validation(data))
            if not (text.startswith("code:") or parse_id(text)):
                self.fail("invalid")
            return text
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return str(self.id.run_validation(data))

    def to_representation(self, value: str) -> str:
        return value


@request_example(examples.ENROLL)
class EnrollSerializer(CourseReferenceSerializer, ReasonMixin):
    """An enrollment in a course, with its options."""

    on_full = serializers.ChoiceField(
        choices=[each.value for each in OnFull],
        default=OnFull.REJECT.value,
        help_text=_("If no seat is free: refuse the request, or put the student on the waitlist."),
    )
    instead_of = CourseIdentifierField(
        required=False, help_text=_("A swap: the course that the student leaves for the seat, its id or `code:` key.")
    )
    waive = BoundedListField(
        child=StrictCharField(max_length=64),
        default=list,
        max_length=20,
        help_text=_("Codes of the rules to override. Requires a reason and the scope enrollments:waive."),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        # The rules check later whether the caller may waive.
        errors: dict[str, list[Any]] = {}
        for refusal in validate_waiver(frozenset(attrs["waive"]), attrs["reason"], may_waive=True):
            detail = serializers.ErrorDetail(refusal.message, code=refusal.code)
            errors.setdefault(refusal.field or "waive", []).append(detail)
        if errors:
            raise serializers.ValidationError(errors)
        return attrs

    def resolve_course_id(self, row_scope: RowScope | None = None) -> int:
        """
        Return the id of the course that the body names; raise ``Refused`` if the caller sees no such course.

        For a caller without limits, an id in the body is returned unchecked: if no course has this id, the rules refuse
        the command.
        """
        key = course_key_from(self.validated_data)
        if key is None:
            course_id = int(self.validated_data["course_id"])
            return course_id if row_scope is None else visible_course_id(course_id, row_scope)
        course = courses_by_key([key], None if row_scope is None else filter_by_scope(Course.objects.all(), row_scope))[
            key
        ]
        if isinstance(course, Refusal):
            raise Refused([course])
        return course.pk

    def resolve_instead_of(self, row_scope: RowScope | None = None) -> int | None:
        """Return the id of the course that the student leaves, as ``resolve_course_id`` does; None if there is none."""
        identifier = self.validated_data.get("instead_of")
        if identifier is None:
            return None
        course_id = parse_id(identifier)
        try:
            if course_id:
                return course_id if row_scope is None else visible_course_id(course_id, row_scope)
            visible = None if row_scope is None else filter_by_scope(Course.objects.all(), row_scope)
            return find_course(identifier, visible).pk
        except Refused as refused:
            raise Refused([each.with_field("instead_of") for each in refused.refusals]) from None


class CompletionMixin(ReasonMixin):
    """The fields of a completion: the status and the grade."""

    grade = StrictCharField(max_length=32, allow_blank=True, required=False, validators=[plain_text])


@extend_schema_field({"type": "string", "enum": [Status.COMPLETED.value]})
class CompletedField(serializers.ChoiceField):
    """
    The status ``completed``.

    A client may also send back an enrollment that it has read: then the value must equal the present status. The
    OpenAPI document names only ``completed``.
    """


@request_example(examples.COMPLETE)
class CompleteSerializer(CompletionMixin, DryRunMixin):
    """
    The body of a PATCH: a completion, or a new grade of a completed enrollment.

    A client may also send back an enrollment exactly as it has read it, which changes nothing.
    """

    required_in_document = ("status",)  # without ``status``, the body must equal the enrollment as it was read
    status = CompletedField(choices=Status.values, required=False, help_text=_("completed, or the current status."))

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with the other fields of an enrollment as read-only fields."""
        fields = super().get_fields()
        names = [name for name in EnrollmentSerializer.Meta.fields if name not in fields]
        return {**fields, **{name: serializers.JSONField(read_only=True) for name in names}}

    def validate_unchanged(self, enrollment: StudentCourse) -> None:
        """Raise ``ValidationError`` if a body that does not complete the enrollment differs from it."""
        data, errors = self.validated_data, {}
        grade_differs = data.get("grade", enrollment.grade) != enrollment.grade
        if "status" not in data and (grade_differs or not set(self.initial_data) - {"reason", "dry_run"}):
            errors["status"] = [
                serializers.ErrorDetail(str(self.fields["status"].error_messages["required"]), "required")
            ]
        elif data.get("status", enrollment.status) != enrollment.status:
            message = _("Set the status to completed, or leave it unchanged.")
            errors["status"] = [serializers.ErrorDetail(str(message), "invalid_choice")]
        elif grade_differs:
            message = _("Only a completed enrollment has a grade.")
            errors["grade"] = [serializers.ErrorDetail(str(message), "invalid")]
        if errors:
            raise serializers.ValidationError(errors)
