"""Serializers for the change feed."""

from functools import cache
from typing import Any

from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from courses.api.serializers import CourseSerializer, CourseSummarySerializer, TermSerializer
from school.api.fields import QueryIntegerField
from school.api.openapi.example_decorators import example
from school.api.row_json import ComputedField, RowTemplate, row_template
from school.api.serializers import KnownFieldsSerializer
from students.api.serializers import examples
from students.api.serializers.enrollment_events import EnrollmentEventSerializer
from students.api.serializers.students import StudentSerializer, StudentSummarySerializer
from students.events.kinds import KINDS, Kind
from students.models import Student


class ChangeSerializer(EnrollmentEventSerializer):
    """A journal entry, with its enrollment, student and course. ``type`` is only in the feed of several kinds."""

    type = serializers.CharField(read_only=True)
    enrollment = serializers.IntegerField(
        source="enrollment_id", read_only=True, help_text=_("The id of the enrollment.")
    )
    student = StudentSummarySerializer(source="enrollment.student", read_only=True)
    course = CourseSummarySerializer(source="enrollment.course", read_only=True)
    annotated = {"type": "type"}
    optional_in_document = ("type",)

    class Meta(EnrollmentEventSerializer.Meta):
        fields = ["type", "id", "enrollment", "student", "course", *EnrollmentEventSerializer.Meta.fields[1:]]
        read_only_fields = fields


@cache
def change_template(*, is_limited: bool = False) -> RowTemplate:
    """Return the template of an entry in the change feed."""
    serializer = ChangeSerializer()
    del serializer.fields["type"]
    return row_template(serializer, is_limited=is_limited)


class AnonymousChangeSerializer(ChangeSerializer):
    """A journal entry with the id of the student only, and without the reason, which may contain names."""

    class AnonymousStudentSerializer(serializers.ModelSerializer[Student]):
        class Meta:
            model = Student
            fields = ["id"]

    student = AnonymousStudentSerializer(source="enrollment.student", read_only=True)  # type: ignore[assignment]
    computed = {"reason": ComputedField((), lambda _request: "")}


class CourseOfVersionSerializer(CourseSerializer):
    annotated = {"term": "term_code"}


class ObjectChangeSerializer(serializers.Serializer[Any]):
    """A version in the history of an object, with the object as the API shows it: a student, a course or a term."""

    type = serializers.CharField(read_only=True)
    id = serializers.IntegerField(source="history_id")
    action = serializers.CharField()
    at = serializers.DateTimeField(source="history_date")
    actor: Any = serializers.SlugRelatedField(
        "username", source="history_user", read_only=True, allow_null=True, help_text="A user name."
    )
    student = StudentSerializer(source="*", required=False)
    course = extend_schema_field({"$ref": "#/components/schemas/CourseInPart"})(CourseOfVersionSerializer)(
        source="*", required=False
    )
    term = TermSerializer(source="*", required=False)
    annotated = {"type": "type", "action": "action"}

    class Meta:
        model = Student.history.model  # its columns of a version are those of each history


OBJECTS = {"students": "student", "courses": "course", "terms": "term"}


@cache
def line_template(kind: str, *, is_limited: bool = False, with_names: bool = True) -> RowTemplate:
    """Return the template of a line in the feed of several kinds."""
    if kind not in OBJECTS:
        return row_template((ChangeSerializer if with_names else AnonymousChangeSerializer)(), is_limited=is_limited)
    serializer = ObjectChangeSerializer()
    for name in set(OBJECTS.values()) - {OBJECTS[kind]}:
        del serializer.fields[name]
    return row_template(serializer, is_limited=is_limited)


@extend_schema_field(
    PolymorphicProxySerializer(
        "ChangeOfAnyKind",
        serializers=[ChangeSerializer, ObjectChangeSerializer],
        resource_type_field_name=None,
        many=True,
    )
)
class LinesField(serializers.Field[Any, Any, Any, Any]):
    """The lines of a page."""


@example(examples.CHANGES)
class ChangesSerializer(serializers.Serializer[Any]):
    """A page of the change feed."""

    cursor = serializers.CharField(
        help_text=_("The cursor for the next request, to send as `after`. It can be stored.")
    )
    has_more = serializers.BooleanField(help_text=_("True if there are more changes that can be read immediately."))
    results = LinesField()


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class KindsField(serializers.Field[list[Kind], Any, Any, Any]):
    """The names of kinds, separated by commas."""

    def to_internal_value(self, data: Any) -> list[Kind]:
        names = str(data).split(",")
        if set(names) - set(KINDS):
            message = translate("Choose from: %(names)s.") % {"names": ", ".join(KINDS)}
            raise serializers.ValidationError(message, code="invalid_choice")
        return [kind for kind in KINDS.values() if kind.name in names]


class ChangesQuerySerializer(KnownFieldsSerializer):
    """The query parameters of the change feed. Without ``kinds`` it has enrollments only."""

    kinds = KindsField(default=None)
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
