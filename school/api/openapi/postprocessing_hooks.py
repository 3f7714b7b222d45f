"""Changes to the finished OpenAPI document, as drf-spectacular's postprocessing hooks."""

import json
from typing import Any

from school.api.openapi.descriptions import SCHEMAS


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

    Some generators of clients make a property with a ``default`` required. In a form, optional properties get an empty
    example, because the page for trying out the API would send invented values.
    """
    schemas = result["components"]["schemas"]
    in_forms = {
        _component(content["schema"])
        for methods in result["paths"].values()
        for operation in methods.values()
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        if media_type == "multipart/form-data"
    }
    for name, schema in schemas.items():
        if name.endswith("Request"):
            for field, each in schema.get("properties", {}).items():
                default = each.pop("default", None)
                if default not in (None, ""):
                    each["description"] = f"{each.get('description', '')} Default: `{json.dumps(default)}`.".lstrip()
                if name in in_forms and field not in schema["required"]:
                    each["example"] = ""
    return result


def describe_properties_once(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Let each whole schema extend the schema of its partial bodies or responses: it has the required properties."""
    schemas = result["components"]["schemas"]
    for name in [each for each in schemas if each.startswith("Patched") or each.endswith("InPart")]:
        whole = schemas[name.removeprefix("Patched").removesuffix("InPart")]
        if whole["properties"].keys() != schemas[name]["properties"].keys():
            raise ValueError(f"The properties of {name} are not those of the whole schema.")
        schemas[name]["properties"] = whole.pop("properties")
        del whole["type"]
        whole["allOf"] = [{"$ref": f"#/components/schemas/{name}"}]
    return result


def _component(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
