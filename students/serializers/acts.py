"""What is asked for in JSON: its shape and its types. Whether it may happen is decided further down."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from courses.lookup import CourseKey, courses_by_key, find_course
from courses.models import Course
from school.api.examples import request_example
from school.api.fields import KnownFieldsSerializer, StrictCharField, StrictIntegerField
from school.refusals import Refusal, Refused
from school.validators import BIGGEST_ID, plain_text
from students.acts import OnFull
from students.models import Status
from students.rules import objections_to_waiver
from students.serializers import examples


class ReasonSerializer(KnownFieldsSerializer):
    reason = StrictCharField(max_length=1000, allow_blank=True, default="", help_text=_("Kept in the journal."))


class ChosenCourseSerializer(KnownFieldsSerializer):
    """Which course: by its id, or by its code and, where one code runs in several terms, the term's code."""

    course_id = StrictIntegerField(min_value=1, max_value=BIGGEST_ID, required=False)
    course_code = StrictCharField(max_length=64, required=False)
    term = StrictCharField(max_length=32, required=False)

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


def course_key_in(body: dict[str, Any]) -> CourseKey | None:
    """Return the key by which a valid body names its course, None where it does by id."""
    return CourseKey(body["course_code"], body.get("term", "")) if "course_code" in body else None


@request_example(examples.ENROLL)
class EnrollSerializer(ChosenCourseSerializer, ReasonSerializer):
    """Which course, and how."""

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

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        # Whether the caller may waive is no matter of the body.
        errors: dict[str, list[Any]] = {}
        for objection in objections_to_waiver(frozenset(attrs["waive"]), attrs["reason"], may_waive=True):
            detail = serializers.ErrorDetail(objection.message, code=objection.code)
            errors.setdefault(objection.field or "waive", []).append(detail)
        if errors:
            raise serializers.ValidationError(errors)
        return attrs

    def chosen_course_id(self, courses: QuerySet[Course] | None = None) -> int:
        """
        Return the id of the course that the body names, among ``courses``; raise ``Refused`` where it names none.

        Without them an id is taken as it is: whether there is such a course is told by the act.
        """
        key = course_key_in(self.validated_data)
        if key is None:
            course_id = int(self.validated_data["course_id"])
            return course_id if courses is None else find_course(str(course_id), courses).pk
        found = courses_by_key([key], courses)[key]
        if isinstance(found, Refusal):
            raise Refused([found])
        return found.pk


class CompletionSerializer(ReasonSerializer):
    """How a course was completed."""

    grade = StrictCharField(max_length=32, allow_blank=True, required=False, validators=[plain_text])


@request_example(examples.COMPLETE)
class CompleteSerializer(CompletionSerializer):
    """The end of an enrollment, or a new grade for one that has ended so."""

    status = serializers.ChoiceField(choices=[Status.COMPLETED.value], help_text=_("The only status to ask for."))
