"""Serializers for batches, which validate each item separately, so that an invalid item does not affect the others."""

from typing import Any

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from school.api.batch_bodies import BatchBodySerializer, UncheckedItemsField
from school.api.fields import StrictCharField, StrictIntegerField
from school.api.openapi.example_decorators import example, request_example
from school.api.openapi.problem_serializers import ProblemReasonSerializer, ProblemSerializer
from school.api.serializers import DryRunMixin
from school.identifiers import MAX_ID
from students.api.serializers import examples
from students.api.serializers.requests import (
    CompletionMixin,
    CourseReferenceSerializer,
    EnrollSerializer,
    ReasonMixin,
)
from students.models import Action


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
class ItemsField(UncheckedItemsField):
    """A list of items, not validated yet."""


@request_example(examples.BATCH)
class BatchSerializer(BatchBodySerializer, DryRunMixin):
    """The body of a batch: up to 1,000 items, which are executed in their order."""

    items = ItemsField(allow_empty=False, min_length=1, help_text=gettext_lazy("At most 1,000 items."))


@extend_schema_field(
    {
        "anyOf": [
            {"$ref": "#/components/schemas/Enrollment"},
            {
                "type": "object",
                "properties": {
                    "id": {"type": ["integer", "null"]},
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
            "The enrollment after the batch. In a batch of more than 25 items and in a preview, only its `id` and "
            "`status`."
        ),
    )


@example({"outcomes": examples.OUTCOMES})
class BatchOutcomeSerializer(serializers.Serializer[Any]):
    """The response to a batch: an outcome for each item, in the order of the items."""

    outcomes = ItemOutcomeSerializer(many=True)
    losing_prerequisites = serializers.IntegerField(
        required=False,
        help_text=gettext_lazy("In a preview: how many open enrollments lose a prerequisite by a changed grade."),
    )
    losing_corequisites = serializers.IntegerField(
        required=False,
        help_text=gettext_lazy("In a preview: how many other enrollments require a course that the student leaves."),
    )


@example(examples.NOTHING_APPLIED)
class BatchProblemSerializer(ProblemSerializer):
    """The response to a batch that failed: a problem, with an outcome for each item if the items were processed."""

    outcomes = ItemOutcomeSerializer(many=True, required=False)
