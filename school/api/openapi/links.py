"""Adds links to the OpenAPI document: from a response, such as that of a POST, to the requests that can follow."""

from typing import Any

API = "/api/v1"
STUDENT_AND_COURSE = {"student_id": "/student/id", "course_id": "/course/id"}

# Maps the schema of a response to the path of its resource, and to the members of the response that fill that path.
LINKED_PATHS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "Student": [("/students/{student_id}", {"student_id": "/id"})],
    "Course": [("/courses/{course_id}", {"course_id": "/id"})],
    "Term": [("/terms/{term_id}", {"term_id": "/id"})],
    "Grade": [("/grades/{grade_id}", {"grade_id": "/id"})],
    "Enrollment": [
        ("/enrollments/{id}", {"id": "/id"}),
        ("/students/{student_id}/courses/{course_id}", STUDENT_AND_COURSE),
    ],
    "Import": [("/imports/{id}", {"id": "/id"})],
    "Changes": [("/changes", {"after": "/cursor"})],
}


def add_links(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """
    Link each response that creates a resource, or has a cursor, to every operation on that resource and below it.

    A write that accepts If-Match is linked with the ETag of the response.
    """
    links: dict[str, Any] = {}
    for path, operations in result.get("paths", {}).items():
        for method, operation in operations.items():
            if method != "post" and path != f"{API}/changes":
                continue
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    _link(response, result["paths"], links)
    if links:
        result["components"]["links"] = dict(sorted(links.items()))
    return result


def _link(response: dict[str, Any], paths: dict[str, Any], links: dict[str, Any]) -> None:
    content = response.get("content", {}).get("application/json", {})
    schema_name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    parameters_by_operation = {}
    for prefix, fills in LINKED_PATHS.get(schema_name, ()):
        for path, operations in paths.items():
            below = path.removeprefix(API + prefix)
            if below == path or "{" in below or below[:1] not in ("", "/"):
                continue
            for operation in operations.values():
                parameters_by_operation[operation["operationId"]] = _parameters(operation, fills, response)
    for target, parameters in parameters_by_operation.items():
        name = f"{schema_name}_{target}" if "If-Match" not in parameters else f"{schema_name}_{target}_if_unchanged"
        links[name] = {"operationId": target, "parameters": parameters}
        response.setdefault("links", {})[target] = {"$ref": f"#/components/links/{name}"}


def _parameters(operation: dict[str, Any], fills: dict[str, str], response: dict[str, Any]) -> dict[str, str]:
    parameters = {name: f"$response.body#{pointer}" for name, pointer in fills.items()}
    if "ETag" in response.get("headers", ()) and any(each["name"] == "If-Match" for each in operation["parameters"]):
        parameters["If-Match"] = "$response.header.ETag"
    return parameters
