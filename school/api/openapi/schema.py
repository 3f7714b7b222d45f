"""Extends drf-spectacular's ``AutoSchema`` by the common parts of operations and the problems that they return."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from school.api.openapi.common_operation_parts import PROBLEMS, add_common_parts
from school.api.openapi.problem_serializers import ProblemSerializer
from school.api.serializers import KnownFieldsSerializer
from school.api.sparse_fields import SparseFieldsMixin
from school.http.problems import CONTENT_TYPE


class Schema(AutoSchema):
    """Adds the common parts to each operation, and the problems that it may return."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation:
            add_common_parts(operation, self.view, self.method)
            operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        for status in self._problems():
            response = OpenApiResponse(ProblemSerializer, description=PROBLEMS[str(status)][0])
            args = (response, str(status), [CONTENT_TYPE], direction)
            bodies[str(status)] = self._get_response_for_code(*args)  # type: ignore[no-untyped-call]
        return bodies

    def resolve_serializer(self, serializer: Any, direction: Any, *args: Any, **kwargs: Any) -> Any:
        # PATCH may send a part of a resource. The body of an enrollment command is always complete.
        if isinstance(serializer, KnownFieldsSerializer) and not isinstance(serializer, serializers.ModelSerializer):
            serializer.partial = False
            for name in getattr(serializer, "required_in_document", ()):
                serializer.fields[name].required = True
        return super().resolve_serializer(serializer, direction, *args, **kwargs)

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        # A client may send back the read-only fields of a resource; they are ignored.
        has_read_only_fields = any(field.read_only for field in serializer.fields.values())
        is_known = isinstance(serializer, KnownFieldsSerializer) and serializer.fields
        if direction == "request" and is_known and not has_read_only_fields:
            schema["additionalProperties"] = False
        if direction == "response":
            self._mark_response_fields(serializer, schema)
        return schema

    def _mark_response_fields(self, serializer: Any, schema: dict[str, Any]) -> None:
        """
        Mark the fields of a model serializer's response as required, except those in its ``optional_in_document``, and
        remove ``readOnly`` and ``title``.
        """
        properties = schema.get("properties", {})
        if isinstance(serializer, serializers.ModelSerializer) and properties:
            schema["required"] = sorted(set(properties) - set(getattr(serializer, "optional_in_document", ())))
        for each in properties.values():
            each.pop("readOnly", None)
            each.pop("title", None)

    def _map_serializer_field(self, field: Any, direction: Any, *args: Any) -> Any:
        # A read-only field is not part of a request; mapping it would add a component that nothing refers to.
        if direction == "request" and field.read_only:
            return None
        return super()._map_serializer_field(field, direction, *args)  # type: ignore[no-untyped-call]

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "GET" and isinstance(self.view, SparseFieldsMixin):
            parameters += self.view.openapi_parameters()
        return parameters

    def _problems(self) -> list[int]:
        codes = set()
        if "{" in self.path:
            codes.add(404)
        if self._is_list_view():
            codes.add(410)
        codes |= getattr(self.view, "more_problems", {}).get(self.method, set())
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            codes.add(409)
        if self.method in ("POST", "PUT", "PATCH"):
            codes |= {413, 415}
        return sorted(codes)
