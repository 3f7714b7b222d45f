"""Decorators that add example bodies to the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer


def example(value: Any, *, request: Any = None) -> Any:
    """
    Decorate a serializer with an example of a response, and with ``request`` as an example of a request body, if given.
    """
    examples = [OpenApiExample("Answer", value, response_only=True, status_codes=["200", "201", "202", "207", "422"])]
    if request is not None:
        examples.append(OpenApiExample("Request", request, request_only=True))
    return extend_schema_serializer(examples=examples)


def request_example(value: Any, media_type: str = "application/json") -> Any:
    """Decorate a serializer with an example of a request body."""
    sent = OpenApiExample("Request", value, request_only=True, media_type=media_type)
    return extend_schema_serializer(examples=[sent])
