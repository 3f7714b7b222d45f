"""Students and enrollments in JSON. What may happen to an enrollment is decided further down."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.lookup import CourseKey, courses_by_key
from courses.serializers import CourseInBriefSerializer
from school.api.fields import KnownFieldsSerializer, StrictCharField, StrictIntegerField, StrictModelSerializer
from school.refusals import Refusal, Refused
from school.validators import BIGGEST_ID, plain_text
from students.models import EnrollmentEvent, Status, Student, StudentCourse


class StudentSerializer(StrictModelSerializer):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name", "email", "is_active"]


class StudentInBriefSerializer(serializers.ModelSerializer[Student]):
    class Meta:
        model = Student
        fields = ["id", "student_number", "given_name", "family_name"]


class EnrollmentSerializer(StrictModelSerializer):
    """An enrollment, in the same shape everywhere."""

    student = StudentInBriefSerializer()
    course = CourseInBriefSerializer()
    waitlist_position = serializers.IntegerField(
        read_only=True,
        default=None,
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
            "request_id",
        ]
        read_only_fields = fields


class EnrollSerializer(KnownFieldsSerializer):
    """Which course: by its id, or by its code and, where one code runs in several terms, the term's code."""

    course_id = StrictIntegerField(min_value=1, max_value=BIGGEST_ID, required=False)
    course_code = StrictCharField(max_length=64, required=False)
    term = StrictCharField(max_length=32, required=False)
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
