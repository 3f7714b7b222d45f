"""Serializers for batches, which validate each item separately, so that an invalid item does not affect the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer

from courses.lookup import CourseKey, course_not_found, courses_by_key
from courses.models import Course
from school.api.fields import KnownFieldsSerializer, StrictBooleanField, StrictCharField, StrictIntegerField
from school.api.openapi.examples import example, request_example
from school.api.openapi.schema import ProblemReasonSerializer, ProblemSerializer
from school.http.problems import MAX_ERRORS, flatten_errors, shorten_reason
from school.refusals import Refusal
from school.validators import MAX_ID
from students.api.serializers import examples
from students.api.serializers.enrollments import EnrollmentSerializer
from students.api.serializers.requests import (
    CompletionMixin,
    CourseReferenceSerializer,
    EnrollSerializer,
    ReasonMixin,
    course_key_from,
)
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.lookup import student_ids_by_number, student_not_found, students_not_found
from students.models import Action, Status, Student, StudentCourse

MAX_ITEMS = 1_000
MAX_BATCH_ERRORS = 1_000  # the maximum number of errors in the invalid items of a batch
# A response shows the full enrollments only for batches with at most this many items: more would be too large.
MAX_FULL_OUTCOMES = 25
MAX_BYTES = 98_000  # the maximum size of the outcomes; the rest of the response has less than 2,000 bytes


class TooManyItems(APIException):
    status_code = 413
    default_code = "too_many_items"
    default_detail = gettext_lazy("A batch has at most 1,000 items.")


class ItemSerializer(CourseReferenceSerializer):
    """The fields that every item has: the student and the course."""

    student_id = StrictIntegerField(
        min_value=1,
        max_value=MAX_ID,
        required=False,
        error_messages={"invalid": gettext_lazy("An id is an integer. A student number belongs in student_number.")},
    )
    student_number = StrictCharField(max_length=64, required=False)

    default_error_messages = {
        "which_student": gettext_lazy("Give exactly one of student_id and student_number."),
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("student_id" in attrs) == ("student_number" in attrs):
            self.fail("which_student")
        return super().validate(attrs)


class EnrollItemSerializer(ItemSerializer, EnrollSerializer):
    action = serializers.ChoiceField(choices=["enroll"])


class DropItemSerializer(ItemSerializer, ReasonMixin):
    action = serializers.ChoiceField(choices=["drop"])


class CompleteItemSerializer(ItemSerializer, CompletionMixin):
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
    """A list of items, not validated yet."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MAX_ITEMS:
            raise TooManyItems
        return list(super().to_internal_value(data))


@request_example(examples.BATCH)
class BatchSerializer(KnownFieldsSerializer):
    """The body of a batch: up to 1,000 items, which are executed in their order."""

    items = ItemsField(allow_empty=False, min_length=1, help_text=gettext_lazy("At most 1,000 items."))
    atomic = StrictBooleanField(
        default=False, help_text=gettext_lazy("All or nothing: if one item fails, none is applied.")
    )


@extend_schema_field(
    {
        "anyOf": [
            {"$ref": "#/components/schemas/Enrollment"},
            {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "status": {"$ref": "#/components/schemas/StatusEnum"},
                },
                "required": ["id", "status"],
            },
            {"type": "null"},
        ]
    }
)
class OutcomeEnrollmentField(serializers.JSONField):
    """An enrollment, in full or with ``id`` and ``status`` only."""


class ItemOutcomeSerializer(serializers.Serializer[Any]):
    """The outcome of an item."""

    index = serializers.IntegerField(help_text=gettext_lazy("The position of the item in the batch, counted from 0."))
    status = serializers.ChoiceField(
        choices=["created", "updated", "unchanged", "refused", "not_found", "invalid", "not_applied"],
        help_text=gettext_lazy("`not_applied`: the item is valid, but another item of the atomic batch failed."),
    )
    code = serializers.CharField(
        allow_null=True, required=False, help_text=gettext_lazy("The code of the most important reason.")
    )
    message = serializers.CharField(required=False, help_text=gettext_lazy("All reasons as one text."))
    errors = ProblemReasonSerializer(  # type: ignore[assignment]  # DRF removes this attribute from the class
        many=True,
        required=False,
        help_text=gettext_lazy(
            "All reasons. If the response would be 100 kB or larger, the last outcomes have only the `code` of "
            "each reason."
        ),
    )
    enrollment = OutcomeEnrollmentField(
        required=False,
        help_text=gettext_lazy(
            "The enrollment after the batch. In a batch of more than 25 items, only its `id` and `status`."
        ),
    )


@example({"outcomes": examples.OUTCOMES})
class BatchOutcomeSerializer(serializers.Serializer[Any]):
    """The response to a batch: an outcome for each item, in the order of the items."""

    outcomes = ItemOutcomeSerializer(many=True)


@example(examples.NOTHING_APPLIED)
class BatchProblemSerializer(ProblemSerializer):
    """The response to a batch that failed: a problem, with an outcome for each item if the items were processed."""

    outcomes = ItemOutcomeSerializer(many=True, required=False)


@dataclass(frozen=True, slots=True)
class InvalidItem:
    """An item that has no command, because it is invalid or its student or course cannot be determined."""

    status: str
    reasons: tuple[Refusal, ...]


def parse_items(
    items: Iterable[Any],
    visible_courses: QuerySet[Course] | None = None,
    visible_students: QuerySet[Student] | None = None,
    enrollable_students: QuerySet[Student] | None = None,
) -> list[EnrollmentCommand | InvalidItem]:
    """
    Return a command for each item, or ``InvalidItem``. Students and courses are looked up for all items together.

    ``visible_courses`` has the courses that the caller may use. If it is None, the caller may use all courses, and a
    course id is not looked up. ``visible_students`` has the students whose numbers a refusal may suggest.
    ``enrollable_students`` has the students that an item may name. For both, None means all students. Only the first
    ``MAX_ERRORS`` unknown numbers and keys get a refusal with a suggestion. Raise ``ValidationError`` if the invalid
    items have more than ``MAX_BATCH_ERRORS`` errors.
    """
    bodies = _validate_items(items)
    valid = [body for body in bodies if not isinstance(body, InvalidItem)]
    students = student_ids_by_number(body["student_number"] for body in valid if "student_number" in body)
    courses = courses_by_key((key for body in valid if (key := course_key_from(body))), visible_courses, MAX_ERRORS)
    hidden_courses = _hidden_courses((body["course_id"] for body in valid if "course_id" in body), visible_courses)
    numbers = dict.fromkeys(body["student_number"] for body in valid if "student_number" in body)
    unknown: dict[str | int, Refusal] = {}
    if enrollable_students is not None:
        ids = {body["student_id"] for body in valid if "student_id" in body}
        enrollable_ids = set(
            enrollable_students.filter(pk__any_of=[*ids, *students.values()]).values_list("pk", flat=True)
        )
        students = {number: pk for number, pk in students.items() if pk in enrollable_ids}
        unknown |= {pk: student_not_found(pk) for pk in ids - enrollable_ids}
    visible_students = Student.objects.all() if visible_students is None else visible_students
    not_found = [number for number in numbers if number not in students]
    unknown.update(students_not_found(not_found, visible_students, "number:", MAX_ERRORS))
    return [
        body if isinstance(body, InvalidItem) else _to_command(body, students, unknown, courses, hidden_courses)
        for body in bodies
    ]


def _hidden_courses(course_ids: Iterable[int], visible_courses: QuerySet[Course] | None) -> dict[int, Refusal]:
    """Return a refusal for each course id that the caller may not use, by id."""
    if visible_courses is None:
        return {}
    requested = set(course_ids)
    return {
        pk: course_not_found(pk)
        for pk in requested.difference(visible_courses.filter(pk__any_of=requested).values_list("pk", flat=True))
    }


def _validate_items(items: Iterable[Any]) -> list[dict[str, Any] | InvalidItem]:
    serializers_by_action = {action: serializer() for action, serializer in ITEMS.items()}
    bodies: list[dict[str, Any] | InvalidItem] = []
    details: dict[Any, Any] = {}
    error_count = 0
    for index, item in enumerate(items):
        try:
            bodies.append(_validate_item(item, serializers_by_action))
        except ValidationError as error:
            reasons = tuple(flatten_errors(error.detail))
            bodies.append(InvalidItem("invalid", reasons))
            details[index] = error.detail
            error_count += len(reasons)
            if error_count > MAX_BATCH_ERRORS:
                raise ValidationError({"items": details}) from None
    return bodies


def _validate_item(item: Any, serializers_by_action: dict[str, ItemSerializer]) -> dict[str, Any]:
    """Return the validated values of an item; raise ``ValidationError``."""
    if not isinstance(item, dict):
        raise ValidationError(_("The item must be an object."), code="invalid")
    action = item.get("action")
    if not isinstance(action, str) or action not in serializers_by_action:
        code = "invalid_choice" if "action" in item else "required"
        message = _("The action must be one of: %(names)s.") % {"names": ", ".join(serializers_by_action)}
        raise ValidationError({"action": [ErrorDetail(message, code=code)]})
    return dict(serializers_by_action[action].run_validation(item))


def _to_command(
    body: dict[str, Any],
    students: dict[str, int],
    unknown: dict[str | int, Refusal],
    courses: dict[CourseKey, Course | Refusal],
    hidden_courses: dict[int, Refusal],
) -> EnrollmentCommand | InvalidItem:
    number, key = body.get("student_number"), course_key_from(body)
    student_id = body["student_id"] if number is None else students.get(number)
    course = courses[key] if key else hidden_courses.get(body["course_id"])
    reasons = [unknown[identifier]] if (identifier := number or student_id) in unknown else []
    reasons += [course] if isinstance(course, Refusal) else []
    if reasons or student_id is None or isinstance(course, Refusal):
        is_missing = reasons[0].code != "course_ambiguous"
        return InvalidItem("not_found" if is_missing else "refused", tuple(reasons))
    return EnrollmentCommand(
        Action(body["action"]),
        student_id,
        course.pk if course else body["course_id"],
        body.get("grade"),
        body["reason"],
        OnFull(body.get("on_full", OnFull.REJECT)),
        frozenset(body.get("waive", ())),
    )


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """The outcome of an item: its status, and either the enrollment or the reasons why the item failed."""

    status: str
    reasons: Sequence[Refusal] = ()
    enrollment: StudentCourse | None = None


def serialize_outcomes(outcomes: Sequence[ItemOutcome]) -> list[dict[str, Any]]:
    """
    Return the outcomes of a batch for the response, with at most ``MAX_BYTES`` bytes in total.

    The outcomes of a batch with more than ``MAX_FULL_OUTCOMES`` items have enrollments with id and status only. From
    the first outcome on, the reasons are in full, until the reasons of the next outcome would exceed the limit.
    """
    is_large = len(outcomes) > MAX_FULL_OUTCOMES
    enrollments = _serialize_enrollments(outcomes, full=not is_large)
    rendered = [
        (_brief_outcome if is_large or each.reasons else _full_outcome)(index, each, enrollments)
        for index, each in enumerate(outcomes)
    ]
    available_bytes = MAX_BYTES - _size(rendered)
    for index, each in enumerate(outcomes):
        if each.reasons:
            full = _full_outcome(index, each, enrollments)
            available_bytes -= _size(full) - _size(rendered[index])
            if available_bytes < 0:
                break
            rendered[index] = full
    return rendered


def _size(rendered: Any) -> int:
    return len(JSONRenderer().render(rendered))


def _brief_outcome(index: int, outcome: ItemOutcome, enrollments: dict[int, Any]) -> dict[str, Any]:
    rendered: dict[str, Any] = {"index": index, "status": outcome.status}
    if outcome.reasons:
        rendered["code"] = outcome.reasons[0].code
    if outcome.enrollment:
        rendered["enrollment"] = enrollments[outcome.enrollment.pk]
    return rendered


def _full_outcome(index: int, outcome: ItemOutcome, enrollments: dict[int, Any]) -> dict[str, Any]:
    reasons = [shorten_reason(reason) for reason in outcome.reasons]
    return {
        "index": index,
        "status": outcome.status,
        "code": outcome.reasons[0].code if outcome.reasons else None,
        "message": " ".join(reason.message for reason in reasons),
        "errors": [reason.as_error() for reason in reasons],
        "enrollment": enrollments[outcome.enrollment.pk] if outcome.enrollment else None,
    }


def _serialize_enrollments(outcomes: Iterable[ItemOutcome], *, full: bool) -> dict[int, Any]:
    """Return the enrollments after the batch in JSON, by id. Each is serialized once, even if many items changed it."""
    rendered = {each.enrollment.pk: each.enrollment for each in outcomes if each.enrollment}
    waitlisted_ids = [pk for pk, enrollment in rendered.items() if enrollment.status == Status.WAITLISTED]
    if waitlisted_ids:  # this query also reads the waitlist positions
        rows = StudentCourse.objects.with_details() if full else StudentCourse.objects.only("status")
        rendered |= {each.pk: each for each in rows.filter(pk__in=waitlisted_ids)}
    if not full:
        return {pk: {"id": pk, "status": enrollment.status} for pk, enrollment in rendered.items()}
    return {row["id"]: row for row in EnrollmentSerializer(rendered.values(), many=True).data}
