"""
Extends drf-spectacular: it adds the problems that operations return, and responses with only some fields of a resource.
"""

import json
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from school.api.fields import KnownFieldsSerializer
from school.api.openapi.operation_texts import SCHEMAS
from school.api.openapi.operations import PROBLEMS, add_common_parts
from school.api.sparse_fields import SparseFieldsMixin
from school.http.problems import CONTENT_TYPE


class ProblemReasonSerializer(serializers.Serializer[Any]):
    """One reason why a request was refused."""

    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """The body of every error response: a problem in the format of RFC 9457."""

    type = serializers.CharField(help_text="The URL of the page about this code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="A stable code for programs.")
    errors = ProblemReasonSerializer(many=True)  # type: ignore[assignment]  # DRF removes it from the class
    missing_scope = serializers.CharField(required=False, help_text="The scope that the token lacks.")
    missing_permission = serializers.CharField(required=False, help_text="The permission that the user lacks.")
    request_id = serializers.CharField(help_text="The same as in the X-Request-ID header and in the log.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """
        Add the member ``import``, which some problems have.

        It cannot be a class attribute, because ``import`` is a keyword of Python.
        """
        active = serializers.IntegerField(required=False, help_text="Of import_in_progress: the active import.")
        return {**super().get_fields(), "import": active}


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
        """Mark all fields of a model serializer's response as required, and remove ``readOnly`` and ``title``."""
        properties = schema.get("properties", {})
        if isinstance(serializer, serializers.ModelSerializer) and properties:
            schema["required"] = sorted(properties)
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
        if self._is_list_view() or isinstance(self.view, SparseFieldsMixin) or self.method in ("POST", "PUT", "PATCH"):
            codes.add(400)
        if self._is_list_view():
            codes.add(410)
        codes |= getattr(self.view, "more_problems", {}).get(self.method, set())
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            codes.add(409)
        if self.method in ("POST", "PUT", "PATCH"):
            codes |= {413, 415}
        return sorted(codes)


def describe_schemas(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Replace the docstrings of serializers, written for developers of School, by texts for client developers."""
    for name, schema in result["components"]["schemas"].items():
        schema.pop("description", None)
        if text := SCHEMAS.get(name.removeprefix("Patched").removesuffix("Request")):
            schema["description"] = text
    return result


def allow_sparse_responses(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Document for each read that accepts ``fields`` that its response may have only a part of the resource."""
    schemas = result.get("components", {}).get("schemas", {})
    for path in result.get("paths", {}).values():
        for operation in path.values():
            if not any(each["name"] == "fields" for each in operation.get("parameters", ())):
                continue
            holder = operation["responses"]["200"]["content"]["application/json"]
            name = _component(holder["schema"])
            if name.startswith("Paginated"):
                holder = schemas[name]["properties"]["results"]
                holder = {"schema": holder["items"], "is_in": holder} if "items" in holder else holder
            whole = holder["schema"]
            if "anyOf" in whole:
                continue
            part = f"{_component(whole)}InPart"
            schemas[part] = {key: value for key, value in schemas[_component(whole)].items() if key != "required"}
            either = {"anyOf": [whole, {"$ref": f"#/components/schemas/{part}"}]}
            if "is_in" in holder:
                holder["is_in"]["items"] = either
            else:
                holder["schema"] = either
    return result


def leave_defaults_to_the_server(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """
    Move the defaults in bodies of requests from ``default`` to the description.

    Some generators of clients make a property with a ``default`` required.
    """
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):
            for each in schema.get("properties", {}).values():
                default = each.pop("default", None)
                if default not in (None, ""):
                    each["description"] = f"{each.get('description', '')} Default: `{json.dumps(default)}`.".lstrip()
    return result


def _component(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
