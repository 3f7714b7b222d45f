"""The serializers that describe batches of rows in the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers

from school.api.openapi.example_decorators import example, request_example
from school.api.openapi.problem_serializers import ProblemReasonSerializer
from school.api.serializers import KnownFieldsSerializer


class RowOutcomeSerializer(serializers.Serializer[Any]):
    """The outcome of an item."""

    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["created", "updated", "unchanged", "refused", "not_applied"])
    code = serializers.CharField(allow_null=True, required=False)
    message = serializers.CharField(required=False)
    errors = ProblemReasonSerializer(many=True, required=False)  # type: ignore[assignment]  # DRF removes it from the class
    id = serializers.IntegerField(allow_null=True, required=False)


@example({"outcomes": [{"index": 0, "status": "created", "id": 7}]})
class RowOutcomesSerializer(serializers.Serializer[Any]):
    """The response to a batch: an outcome for each item, in the order of the items."""

    outcomes = RowOutcomeSerializer(many=True)


def describe_batch(name: str, serializer_class: Any, item: dict[str, Any]) -> Any:
    """
    Return a decorator that describes the action ``batch`` of a viewset whose rows ``serializer_class`` reads.

    ``name`` begins the names of the component and of the operation, ``item`` is an example.
    """
    fields = {
        "items": serializer_class(many=True, max_length=1_000),
        "atomic": serializers.BooleanField(default=False),
    }
    body = type(f"{name.title()}BatchSerializer", (KnownFieldsSerializer,), fields)
    return extend_schema_view(
        batch=extend_schema(
            operation_id=f"{name}s_batch",
            request=request_example({"items": [item]})(body),
            responses={
                200: OpenApiResponse(RowOutcomesSerializer, "All applied"),
                207: OpenApiResponse(RowOutcomesSerializer, "Some applied"),
            },
        )
    )
