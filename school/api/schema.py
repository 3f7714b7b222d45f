"""What drf-spectacular cannot see by itself: the problems that an operation answers, and 3.1's way to say null."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from school.api.fields import KnownFieldsSerializer
from school.api.manners import PROBLEMS, add_manners
from school.api.problems import CONTENT_TYPE
from school.api.shape import Shaped


class ProblemReasonSerializer(serializers.Serializer[Any]):
    """One reason why something was not done."""

    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """What is wrong, by RFC 9457."""

    type = serializers.CharField(help_text="A page about this code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable; programs decide by it.")
    errors = ProblemReasonSerializer(many=True)  # type: ignore[assignment]  # DRF takes it off the class
    request_id = serializers.CharField(help_text="The same as in the X-Request-ID header and in the log.")


class Schema(AutoSchema):
    """Add the problems that every operation of a kind may answer."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation:
            add_manners(operation, self.view, self.method)
            operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        for status in self._problems():
            answer = OpenApiResponse(ProblemSerializer, description=PROBLEMS[str(status)][0])
            args = (answer, str(status), [CONTENT_TYPE], direction)
            bodies[str(status)] = self._get_response_for_code(*args)  # type: ignore[no-untyped-call]
        return bodies

    def resolve_serializer(self, serializer: Any, direction: Any, *args: Any, **kwargs: Any) -> Any:
        # By PATCH a resource is sent in part. An act is asked for in full.
        if isinstance(serializer, KnownFieldsSerializer) and not isinstance(serializer, serializers.ModelSerializer):
            serializer.partial = False
        return super().resolve_serializer(serializer, direction, *args, **kwargs)

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        # Those that are only read may come back with a resource, and are passed over.
        may_be_more = any(field.read_only for field in serializer.fields.values())
        is_known = isinstance(serializer, KnownFieldsSerializer) and serializer.fields
        if direction == "request" and is_known and not may_be_more:
            schema["additionalProperties"] = False
        return schema

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "GET" and isinstance(self.view, Shaped):
            parameters += self.view.shape_parameters()
        return parameters

    def _problems(self) -> list[int]:
        codes = {401, 403}
        if "{" in self.path:
            codes.add(404)
        if self._is_list_view() or isinstance(self.view, Shaped) or self.method in ("POST", "PUT", "PATCH"):
            codes.add(400)
        codes |= getattr(self.view, "more_problems", {}).get(self.method, set())
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            codes.add(409)
        if self.method in ("POST", "PUT", "PATCH"):
            codes |= {413, 415}
        return sorted(codes)


def drop_nullable(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Rewrite OpenAPI 3.0's ``nullable`` as JSON Schema's ``["…", "null"]``."""

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.pop("nullable", False) and isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
            node = node.values()
        if not isinstance(node, str) and hasattr(node, "__iter__"):
            for child in node:
                walk(child)

    walk(result.get("components", {}).get("schemas", {}))
    return result


def allow_parts(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Say of each read that takes ``fields`` that it may answer less than the whole resource."""
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


def _component(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
