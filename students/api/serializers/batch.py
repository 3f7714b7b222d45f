"""Serializers for batches. Each item is validated by itself, so that an invalid item does not affect the others."""

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
from school.http.problems import MOST_REASONS, reasons_in, shortened_reason
from school.refusals import Refusal
from school.validators import BIGGEST_ID
from students.api.serializers import examples
from students.api.serializers.enrollments import EnrollmentSerializer
from students.api.serializers.requests import (
    ChosenCourseSerializer,
    CompletionSerializer,
    EnrollSerializer,
    ReasonSerializer,
    course_key_in,
)
from students.enrollment.commands import Act, OnFull
from students.lookup import student_ids_by_number, student_not_found, students_not_found
from students.models import Action, Status, Student, StudentCourse

MOST_ITEMS = 1_000
MOST_FAULTS = 1_000  # errors in invalid items
MOST_IN_FULL = 25  # items of a batch whose outcomes have enrollments in full: more would not fit
MAX_BYTES = 98_000  # of the outcomes of a batch; the problem document around them has less than 2,000


class TooManyItems(APIException):
    status_code = 413
    default_code = "too_many_items"
    default_detail = gettext_lazy("A batch has at most 1,000 items.")


class ItemSerializer(ChosenCourseSerializer):
    """The student and the course, which every item has."""

    student_id = StrictIntegerField(
        min_value=1,
        max_value=BIGGEST_ID,
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
    """A list of items, not validated yet."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MOST_ITEMS:
            raise TooManyItems
        return list(super().to_internal_value(data))


@request_example(examples.BATCH)
class BatchSerializer(KnownFieldsSerializer):
    """Up to 1,000 acts, performed in their order."""

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
    errors = ProblemReasonSerializer(  # type: ignore[assignment]  # DRF takes it off the class
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
    """An outcome for each item, in their order."""

    outcomes = ItemOutcomeSerializer(many=True)


@example(examples.NOTHING_APPLIED)
class BatchProblemSerializer(ProblemSerializer):
    """A problem, with an outcome for each item if the items were processed."""

    outcomes = ItemOutcomeSerializer(many=True, required=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item without an act: it is invalid, or its student or course is not found or ambiguous."""

    status: str
    reasons: tuple[Refusal, ...]


def read_items(
    items: Iterable[Any],
    among: QuerySet[Course] | None = None,
    visible: QuerySet[Student] | None = None,
    to_enroll: QuerySet[Student] | None = None,
) -> list[Act | Unreadable]:
    """
    Return an act for each item, or ``Unreadable``. Students and courses are looked up for all items together.

    ``among`` has the courses that the caller may use; with None all may be used, and a course id is not checked.
    ``visible`` has the students whose numbers a refusal may suggest, ``to_enroll`` the students that an item may name;
    None means all students. Only the first ``MOST_REASONS`` unknown numbers and keys get a refusal with a suggestion.
    Raise ``ValidationError`` if the invalid items have more than ``MOST_FAULTS`` errors.
    """
    bodies = _read_all(items)
    valid = [body for body in bodies if not isinstance(body, Unreadable)]
    students = student_ids_by_number(body["student_number"] for body in valid if "student_number" in body)
    courses = courses_by_key((key for body in valid if (key := course_key_in(body))), among, MOST_REASONS)
    outside = _outside((body["course_id"] for body in valid if "course_id" in body), among)
    numbers = dict.fromkeys(body["student_number"] for body in valid if "student_number" in body)
    unknown: dict[str | int, Refusal] = {}
    if to_enroll is not None:
        ids = {body["student_id"] for body in valid if "student_id" in body}
        there = set(to_enroll.filter(pk__among=[*ids, *students.values()]).values_list("pk", flat=True))
        students = {number: pk for number, pk in students.items() if pk in there}
        unknown |= {pk: student_not_found(pk) for pk in ids - there}
    visible = Student.objects.all() if visible is None else visible
    not_found = [number for number in numbers if number not in students]
    unknown.update(students_not_found(not_found, visible, "number:", MOST_REASONS))
    return [
        body if isinstance(body, Unreadable) else _act(body, students, unknown, courses, outside) for body in bodies
    ]


def _outside(course_ids: Iterable[int], among: QuerySet[Course] | None) -> dict[int, Refusal]:
    """Return a refusal for each course id that is not among the courses that the caller may use."""
    if among is None:
        return {}
    asked = set(course_ids)
    return {
        pk: course_not_found(pk) for pk in asked.difference(among.filter(pk__among=asked).values_list("pk", flat=True))
    }


def _read_all(items: Iterable[Any]) -> list[dict[str, Any] | Unreadable]:
    readers = {action: serializer() for action, serializer in ITEMS.items()}
    bodies: list[dict[str, Any] | Unreadable] = []
    details: dict[Any, Any] = {}
    faults = 0
    for index, item in enumerate(items):
        try:
            bodies.append(_read(item, readers))
        except ValidationError as error:
            reasons = tuple(reasons_in(error.detail))
            bodies.append(Unreadable("invalid", reasons))
            details[index] = error.detail
            faults += len(reasons)
            if faults > MOST_FAULTS:
                raise ValidationError({"items": details}) from None
    return bodies


def _read(item: Any, readers: dict[str, ItemSerializer]) -> dict[str, Any]:
    """Return the validated values of an item; raise ``ValidationError``."""
    if not isinstance(item, dict):
        raise ValidationError(_("The item must be an object."), code="invalid")
    action = item.get("action")
    if not isinstance(action, str) or action not in readers:
        code = "invalid_choice" if "action" in item else "required"
        message = _("The action must be one of: %(names)s.") % {"names": ", ".join(readers)}
        raise ValidationError({"action": [ErrorDetail(message, code=code)]})
    return dict(readers[action].run_validation(item))


def _act(
    body: dict[str, Any],
    students: dict[str, int],
    unknown: dict[str | int, Refusal],
    courses: dict[CourseKey, Course | Refusal],
    outside: dict[int, Refusal],
) -> Act | Unreadable:
    number, key = body.get("student_number"), course_key_in(body)
    student_id = body["student_id"] if number is None else students.get(number)
    course = courses[key] if key else outside.get(body["course_id"])
    reasons = [unknown[named]] if (named := number or student_id) in unknown else []
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


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """The outcome of an item: its status, and either the reasons against it or the enrollment."""

    status: str
    reasons: Sequence[Refusal] = ()
    enrollment: StudentCourse | None = None


def outcomes_in_json(outcomes: Sequence[ItemOutcome]) -> list[dict[str, Any]]:
    """
    Return the outcomes of a batch for the response, with at most ``MAX_BYTES`` bytes in total.

    The outcomes of a batch with more than ``MOST_IN_FULL`` items have enrollments in brief. Outcomes have their reasons
    in full, from the first on, until the next one would exceed the limit.
    """
    is_large = len(outcomes) > MOST_IN_FULL
    enrollments = _enrollments_in_json(outcomes, in_full=not is_large)
    shown = [
        (_in_brief if is_large or each.reasons else _in_full)(index, each, enrollments)
        for index, each in enumerate(outcomes)
    ]
    room = MAX_BYTES - _size(shown)
    for index, each in enumerate(outcomes):
        if each.reasons:
            in_full = _in_full(index, each, enrollments)
            room -= _size(in_full) - _size(shown[index])
            if room < 0:
                break
            shown[index] = in_full
    return shown


def _size(shown: Any) -> int:
    return len(JSONRenderer().render(shown))


def _in_brief(index: int, outcome: ItemOutcome, enrollments: dict[int, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": index, "status": outcome.status}
    if outcome.reasons:
        shown["code"] = outcome.reasons[0].code
    if outcome.enrollment:
        shown["enrollment"] = enrollments[outcome.enrollment.pk]
    return shown


def _in_full(index: int, outcome: ItemOutcome, enrollments: dict[int, Any]) -> dict[str, Any]:
    named = [shortened_reason(reason) for reason in outcome.reasons]
    return {
        "index": index,
        "status": outcome.status,
        "code": outcome.reasons[0].code if outcome.reasons else None,
        "message": " ".join(reason.message for reason in named),
        "errors": [reason.as_problem() for reason in named],
        "enrollment": enrollments[outcome.enrollment.pk] if outcome.enrollment else None,
    }


def _enrollments_in_json(outcomes: Iterable[ItemOutcome], *, in_full: bool) -> dict[int, Any]:
    """Return the enrollments after the batch in JSON, by id. Each is serialized once, even if many items changed it."""
    shown = {each.enrollment.pk: each.enrollment for each in outcomes if each.enrollment}
    waiting = [pk for pk, enrollment in shown.items() if enrollment.status == Status.WAITLISTED]
    if waiting:  # read their waitlist positions, in one query
        rows = StudentCourse.objects.with_parties() if in_full else StudentCourse.objects.only("status")
        shown |= {each.pk: each for each in rows.filter(pk__in=waiting)}
    if not in_full:
        return {pk: {"id": pk, "status": enrollment.status} for pk, enrollment in shown.items()}
    return {row["id"]: row for row in EnrollmentSerializer(shown.values(), many=True).data}
