"""Batches in JSON: items that are read one by one, so that a bad one is its own problem, and an outcome for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError

from courses.lookup import CourseKey, course_not_found, courses_by_key
from courses.models import Course
from school.api.examples import example, request_example
from school.api.fields import KnownFieldsSerializer, StrictBooleanField, StrictCharField, StrictIntegerField
from school.api.problems import reasons_in
from school.api.schema import ProblemReasonSerializer, ProblemSerializer
from school.refusals import Refusal
from school.validators import BIGGEST_ID
from students.acts import Act, OnFull
from students.lookup import student_ids_by_number, student_not_found
from students.models import Action
from students.serializers import examples
from students.serializers.acts import (
    ChosenCourseSerializer,
    CompletionSerializer,
    EnrollSerializer,
    ReasonSerializer,
    course_key_in,
)
from students.serializers.enrollments import EnrollmentSerializer

MOST_ITEMS = 1_000


class TooManyItems(APIException):
    status_code = 413
    default_code = "too_many_items"
    default_detail = gettext_lazy("A batch has at most 1,000 items.")


class ItemSerializer(ChosenCourseSerializer):
    """Whose place in which course: what every item says."""

    student_id = StrictIntegerField(min_value=1, max_value=BIGGEST_ID, required=False)
    student_number = StrictCharField(max_length=64, required=False)

    default_error_messages = {
        "which_student": gettext_lazy("Name the student by student_id or by student_number, one of the two."),
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("student_id" in attrs) == ("student_number" in attrs):
            self.fail("which_student")
        return super().validate(attrs)


class EnrollItemSerializer(ItemSerializer, EnrollSerializer):
    action = serializers.ChoiceField(choices=["enroll"])


class DropItemSerializer(ItemSerializer, ReasonSerializer):
    action = serializers.ChoiceField(choices=["drop"])


class CompleteItemSerializer(ItemSerializer, CompletionSerializer):
    action = serializers.ChoiceField(choices=["complete"])


ITEMS: dict[str, Any] = {
    Action.ENROLL.value: EnrollItemSerializer,
    Action.DROP.value: DropItemSerializer,
    Action.COMPLETE.value: CompleteItemSerializer,
}


@extend_schema_field(
    PolymorphicProxySerializer("BatchItem", serializers=ITEMS, resource_type_field_name="action", many=True)
)
class ItemsField(serializers.ListField):
    """Items as they came: each is read by itself."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MOST_ITEMS:
            raise TooManyItems
        return list(super().to_internal_value(data))


@request_example(examples.BATCH)
class BatchSerializer(KnownFieldsSerializer):
    """Up to 1,000 acts, done in their order."""

    items = ItemsField(allow_empty=False, min_length=1, help_text=gettext_lazy("At most 1,000."))
    atomic = StrictBooleanField(
        default=False, help_text=gettext_lazy("All or nothing: one item that cannot be done, and none is.")
    )


class ItemOutcomeSerializer(serializers.Serializer[Any]):
    """What became of an item."""

    index = serializers.IntegerField(help_text=gettext_lazy("The item's place in the batch, from 0."))
    status = serializers.ChoiceField(
        choices=["created", "updated", "unchanged", "refused", "not_found", "invalid", "not_applied"],
        help_text=gettext_lazy("not_applied: nothing is wrong with it, but with another item of an atomic batch."),
    )
    code = serializers.CharField(allow_null=True, help_text=gettext_lazy("The code of the weightiest reason."))
    message = serializers.CharField(help_text=gettext_lazy("All reasons in one text, empty where there is none."))
    errors = ProblemReasonSerializer(many=True)  # type: ignore[assignment]  # DRF takes it off the class
    enrollment = EnrollmentSerializer(allow_null=True)


@example({"outcomes": examples.OUTCOMES})
class BatchOutcomeSerializer(serializers.Serializer[Any]):
    """An outcome for each item, in their order."""

    outcomes = ItemOutcomeSerializer(many=True)


@example(examples.NOTHING_APPLIED)
class BatchProblemSerializer(ProblemSerializer):
    """A problem, with an outcome for each item where they were looked at."""

    outcomes = ItemOutcomeSerializer(many=True, required=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that leads to no act: its shape is wrong, or what it names is not there."""

    status: str
    reasons: tuple[Refusal, ...]


def read_items(items: Iterable[Any], among: QuerySet[Course] | None = None) -> list[Act | Unreadable]:
    """
    Read each item, and find the students and the courses of all of them in one query each.

    ``among`` has the courses that are there for the caller; None stands for all, and then an id is taken as it is.
    """
    readers = {action: serializer() for action, serializer in ITEMS.items()}
    bodies = [_read(item, readers) for item in items]
    valid = [body for body in bodies if not isinstance(body, Unreadable)]
    students = student_ids_by_number(body["student_number"] for body in valid if "student_number" in body)
    courses = courses_by_key((key for body in valid if (key := course_key_in(body))), among)
    outside = _outside((body["course_id"] for body in valid if "course_id" in body), among)
    return [body if isinstance(body, Unreadable) else _act(body, students, courses, outside) for body in bodies]


def _outside(course_ids: Iterable[int], among: QuerySet[Course] | None) -> dict[int, Refusal]:
    """Return a refusal for each id of a course that is not there for the caller."""
    if among is None:
        return {}
    asked = set(course_ids)
    return {
        pk: course_not_found(pk) for pk in asked.difference(among.filter(pk__among=asked).values_list("pk", flat=True))
    }


def _read(item: Any, readers: dict[str, ItemSerializer]) -> dict[str, Any] | Unreadable:
    try:
        if not isinstance(item, dict):
            raise ValidationError(_("An item is an object."), code="invalid")
        action = item.get("action")
        if not isinstance(action, str) or action not in readers:
            code = "invalid_choice" if "action" in item else "required"
            message = _("The action of an item is one of: %(names)s.") % {"names": ", ".join(readers)}
            raise ValidationError({"action": [ErrorDetail(message, code=code)]})
        return dict(readers[action].run_validation(item))
    except ValidationError as error:
        return Unreadable("invalid", tuple(reasons_in(error.detail)))


def _act(
    body: dict[str, Any],
    students: dict[str, int],
    courses: dict[CourseKey, Course | Refusal],
    outside: dict[int, Refusal],
) -> Act | Unreadable:
    number, key = body.get("student_number"), course_key_in(body)
    student_id = body["student_id"] if number is None else students.get(number)
    course = courses[key] if key else outside.get(body["course_id"])
    reasons = [] if student_id is not None else [student_not_found(f"number:{number}")]
    reasons += [course] if isinstance(course, Refusal) else []
    if reasons or student_id is None or isinstance(course, Refusal):
        is_missing = reasons[0].code != "course_ambiguous"
        return Unreadable("not_found" if is_missing else "refused", tuple(reasons))
    return Act(
        Action(body["action"]),
        student_id,
        course.pk if course else body["course_id"],
        body.get("grade"),
        body["reason"],
        OnFull(body.get("on_full", OnFull.REJECT)),
        frozenset(body.get("waive", ())),
    )


def outcome_in_json(index: int, status: str, reasons: Sequence[Refusal], enrollment: Any = None) -> dict[str, Any]:
    return {
        "index": index,
        "status": status,
        "code": reasons[0].code if reasons else None,
        "message": " ".join(reason.message for reason in reasons),
        "errors": [{"code": r.code, "field": r.field, "message": r.message} for r in reasons],
        "enrollment": enrollment,
    }
