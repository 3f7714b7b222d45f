"""Students and enrollments in JSON. What may happen to an enrollment is decided further down."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from courses.lookup import CourseKey, courses_by_key
from courses.models import Course
from courses.serializers import CourseInBriefSerializer, CourseSerializer
from school.api.fields import KnownFieldsSerializer, StrictCharField, StrictIntegerField, StrictModelSerializer
from school.refusals import Refusal, Refused
from school.validators import BIGGEST_ID, plain_text
from students.acts import OnFull
from students.models import EnrollmentEvent, Status, Student, StudentCourse
from students.rules import objections_to_waiver
from students.seats import seats_of


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


class EnrollSerializer(KnownFieldsSerializer):
    """Which course: by its id, or by its code and, where one code runs in several terms, the term's code."""

    course_id = StrictIntegerField(min_value=1, max_value=BIGGEST_ID, required=False)
    course_code = StrictCharField(max_length=64, required=False)
    term = StrictCharField(max_length=32, required=False)
    on_full = serializers.ChoiceField(
        choices=[each.value for each in OnFull],
        default=OnFull.REJECT.value,
        help_text=_("What is wanted where no seat is free: to be refused, or to wait for one."),
    )
    waive = serializers.ListField(
        child=StrictCharField(max_length=64),
        default=list,
        max_length=20,
        help_text=_("Codes of rules that shall not stand in the way. Takes a reason, and the scope enrollments:waive."),
    )
    reason = StrictCharField(max_length=1000, allow_blank=True, default="", help_text=_("Kept in the journal."))

    default_error_messages = {
        "which_course": _("Name the course by course_id or by course_code, one of the two."),
        "term_of_code": _("A term goes with a course_code."),
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("course_id" in attrs) == ("course_code" in attrs):
            self.fail("which_course")
        if "term" in attrs and "course_code" not in attrs:
            raise serializers.ValidationError({"term": self.error_messages["term_of_code"]}, code="term_of_code")
        # Whether the caller may waive is no matter of the body.
        errors: dict[str, list[Any]] = {}
        for objection in objections_to_waiver(frozenset(attrs["waive"]), attrs["reason"], may_waive=True):
            detail = serializers.ErrorDetail(objection.message, code=objection.code)
            errors.setdefault(objection.field or "waive", []).append(detail)
        if errors:
            raise serializers.ValidationError(errors)
        return attrs

    @property
    def chosen_course_id(self) -> int:
        """The id of the course that the body names; raise ``Refused`` where a code leads to none."""
        given = self.validated_data
        if "course_id" in given:
            return int(given["course_id"])
        key = CourseKey(given["course_code"], given.get("term", ""))
        found = courses_by_key([key])[key]
        if isinstance(found, Refusal):
            raise Refused([found])
        return found.pk


class CompleteSerializer(KnownFieldsSerializer):
    """The end of an enrollment, or a new grade for one that has ended so."""

    status = serializers.ChoiceField(choices=[Status.COMPLETED.value], help_text=_("The only status to ask for."))
    grade = StrictCharField(max_length=32, allow_blank=True, required=False, validators=[plain_text])
    reason = StrictCharField(max_length=1000, allow_blank=True, default="", help_text=_("Kept in the journal."))
