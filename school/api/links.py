"""The links of the OpenAPI document: what an answer to a POST, or a page of the change feed, can be followed by."""

from typing import Any

API = "/api/v1"
PARTIES = {"student_id": "/student/id", "course_id": "/course/id"}

# By what is answered: the resource that it tells of, and what of the answer fills the parameters of its address.
FOLLOWED: dict[str, list[tuple[str, dict[str, str]]]] = {
    "Student": [("/students/{student_id}", {"student_id": "/id"})],
    "CourseWithSeats": [("/courses/{course_id}", {"course_id": "/id"})],
    "Term": [("/terms/{term_id}", {"term_id": "/id"})],
    "Enrollment": [("/enrollments/{id}", {"id": "/id"}), ("/students/{student_id}/courses/{course_id}", PARTIES)],
    "Import": [("/imports/{id}", {"id": "/id"})],
    "Changes": [("/changes", {"after": "/cursor"})],
}


def add_links(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """
    Link what makes something, or tells how to go on, to every operation on it and on what lies below it.

    A write that takes If-Match is linked with the tag of the answer.
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
    answered = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    found = {}
    for prefix, fills in FOLLOWED.get(answered, ()):
        for path, operations in paths.items():
            below = path.removeprefix(API + prefix)
            if below == path or "{" in below or below[:1] not in ("", "/"):
                continue
            for operation in operations.values():
                found[operation["operationId"]] = _parameters(operation, fills, response)
    for target, parameters in found.items():
        name = f"{answered}_{target}" if "If-Match" not in parameters else f"{answered}_{target}_if_unchanged"
        links[name] = {"operationId": target, "parameters": parameters}
        response.setdefault("links", {})[target] = {"$ref": f"#/components/links/{name}"}


def _parameters(operation: dict[str, Any], fills: dict[str, str], response: dict[str, Any]) -> dict[str, str]:
    parameters = {name: f"$response.body#{pointer}" for name, pointer in fills.items()}
    if "ETag" in response["headers"] and any(each["name"] == "If-Match" for each in operation["parameters"]):
        parameters["If-Match"] = "$response.header.ETag"
    return parameters
