"""Moves repeated parts of operations of the OpenAPI document into its components."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple


class PartLocation(NamedTuple):
    """
    A part of the document: the object that contains it, its key in that object, its name as a component, and its
    operation.
    """

    holder: Any
    key: Any
    name: str
    operation: str

    @property
    def part(self) -> Any:
        return self.holder[self.key]


def share_parts(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """
    Move each part that occurs more than once to ``components``, and replace it by a reference.

    Inner parts are moved first, so that two responses are equal if they refer to the same headers and examples.
    """
    operations = [each for path in result.get("paths", {}).values() for each in path.values()]
    for kind, locations in {
        "headers": _headers,
        "examples": _examples,
        "parameters": _parameters,
        "responses": _responses,
    }.items():
        if components := _share([location for each in operations for location in locations(each)], kind):
            result["components"][kind] = dict(sorted(components.items()))
    return result


def _share(locations: list[PartLocation], kind: str) -> dict[str, Any]:
    equal: dict[str, list[PartLocation]] = defaultdict(list)
    for location in locations:
        equal[json.dumps([location.name, location.part], sort_keys=True, default=str)].append(location)
    components: dict[str, Any] = {}
    for same in sorted(equal.values(), key=len, reverse=True):
        if len(same) == 1 or "$ref" in same[0].part:
            continue
        name = same[0].name if same[0].name not in components else f"{same[0].name}_{same[0].operation}"
        components[name] = same[0].part
        for location in same:
            location.holder[location.key] = {"$ref": f"#/components/{kind}/{name}"}
    return components


def _headers(operation: dict[str, Any]) -> Iterator[PartLocation]:
    for response in operation["responses"].values():
        for name in response.get("headers", {}):
            yield PartLocation(response["headers"], name, name, operation["operationId"])


def _examples(operation: dict[str, Any]) -> Iterator[PartLocation]:
    bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
    for content in (content for body in bodies for content in body.get("content", {}).values()):
        for name in content.get("examples", {}):
            yield PartLocation(content["examples"], name, f"{_schema(content)}{name}", operation["operationId"])


def _parameters(operation: dict[str, Any]) -> Iterator[PartLocation]:
    for index, parameter in enumerate(operation.get("parameters", ())):
        yield PartLocation(operation["parameters"], index, parameter["name"], operation["operationId"])


def _responses(operation: dict[str, Any]) -> Iterator[PartLocation]:
    for status, response in operation["responses"].items():
        content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
        yield PartLocation(operation["responses"], status, f"{_schema(content)}{status}", operation["operationId"])


def _schema(content: dict[str, Any]) -> str:
    """
    Return the name of the schema of a body; of alternatives, that of the first one.

    It is "" for a body without a schema and for problems, whose status is name enough.
    """
    schema = content.get("schema", {})
    name = str(schema.get("anyOf", [schema])[0].get("$ref", "")).rpartition("/")[2]
    return "" if name == "Problem" else name
