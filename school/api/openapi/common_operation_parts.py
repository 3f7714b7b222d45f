"""
Adds to each operation of the OpenAPI document what all have in common: texts, headers, conditions, problems, examples.
"""

from http import HTTPStatus
from typing import Any

from school.api.idempotency import KEY_PATTERN
from school.api.list_and_retrieve import ConditionalReadMixin
from school.api.openapi.descriptions import TEXTS

PROBLEM_MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "8a1f6c1e-6a0b-4f0e-9a53-0c7f3a2b9d11"

# Maps a status to its title, and to the code and the message of an example.
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "400": ("Malformed or invalid", "invalid", "This filter does not exist."),
    "401": ("Missing or invalid credentials", "not_authenticated", "Authentication credentials were not provided."),
    "403": ("Not allowed", "permission_denied", "You do not have permission to perform this action."),
    "404": ("Not found", "not_found", "There is no resource at this URL."),
    "406": ("Response format not available", "not_acceptable", "Could not satisfy the request Accept header."),
    "409": ("Refused; `errors` has every reason", "course_full", "MATH-101 has no free seat."),
    "410": (
        "The cursor has expired",
        "cursor_expired",
        "The row that this cursor refers to is no longer in this list. Start without a cursor.",
    ),
    "412": (
        "Changed since it was read",
        "precondition_failed",
        "The object has changed since you read it. Read it again.",
    ),
    "413": ("The body is too large", "body_too_large", "The body is too large."),
    "415": ("Unsupported media type", "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    "422": (
        "Idempotency-Key reused",
        "idempotency_key_reused",
        "This Idempotency-Key was used for a different request. Use a new one.",
    ),
    "428": (
        "If-Match is required",
        "precondition_required",
        "Send the ETag of the response that you read, as If-Match.",
    ),
    "429": (
        "Too many requests",
        "too_many_requests",
        "Too many requests in one minute. Retry after the time in Retry-After.",
    ),
    "500": (
        "Unexpected error",
        "server_error",
        "An unexpected error occurred. The server log has the details under this request id.",
    ),
    "503": ("Busy", "busy", "The database is busy or unavailable. The request was not applied. Try again."),
}

# Problems that any operation may return. The document has them once, as the default response.
COMMON_STATUSES = ("400", "401", "403", "406", "429", "500", "503")

# Maps a path parameter to its description, and to an example that exists in the demo data.
PATH_PARAMETERS = {
    "student_id": ("An id, or `number:` and a student number.", "number:S-1042"),
    "course_id": (
        "An id, or `code:` and a course code, with `@` and its term, and `@` and its section.",
        "code:MATH-101@2026F",
    ),
    "term_id": ("An id, or `code:` and the code of a term.", "code:2026F"),
    "grade_id": ("An id, or `code:` and the code of a grade.", "code:B"),
    "id": ("An id.", "1"),
}
# The objects that the examples of POST create: these can be deleted.
CREATED_OBJECTS = {
    "student_id": "number:S-9001",
    "course_id": "code:MATH-150@2026F",
    "term_id": "code:2030F",
    "grade_id": "code:E",
    "id": "1",  # a webhook
}
# Optional parameters have no ``example``: the page for trying out the API would send it with each request.
SAMPLE_VALUES = {
    "code": "`MATH-101`",
    "course": "`5` or `code:MATH-101@2026F`",
    "course_code": "`MATH-101`",
    "dataset": "`default`",
    "student": "`7` or `number:S-1042`",
    "student_number": "`S-1042`",
    "term": "`2026F`",
}


def add_common_parts(operation: dict[str, Any], view: Any, method: str) -> None:
    """Add to an operation its texts, and the parameters, headers, problems and examples that all operations share."""
    operation["summary"], operation["description"] = TEXTS[operation["operationId"]]
    if "requestBody" in operation and method != "PATCH" and not getattr(view, "body_is_optional", False):
        operation["requestBody"]["required"] = True
    if value := getattr(view, "request_examples", {}).get(method):
        operation["requestBody"]["content"]["application/json"]["examples"] = {"Request": {"value": value}}
    parameters, responses = operation.setdefault("parameters", []), operation["responses"]
    if isinstance(view, ConditionalReadMixin):
        _add_conditions(parameters, responses, method)
    handler = getattr(view, getattr(view, "action", None) or method.lower(), None)
    if getattr(handler, "takes_idempotency_key", False):
        key = _header("Idempotency-Key", "A retry with the same key within 24 hours gets the same response.")
        key["schema"]["pattern"] = KEY_PATTERN
        parameters.append(key)
        _add_problem(responses, "422")
        _describe_header(
            responses["201" if "201" in responses else "200"],
            "Idempotency-Replayed",
            "`true` if the response is a replay.",
        )
    responses["default"] = _default_response()
    for status, response in responses.items():
        response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
        if status == "default":  # every response has them, but naming them in each would be long
            _describe_header(
                response, "X-Request-ID", "In every response: the id of the request, also in problems and in the log."
            )
            _describe_header(response, "RateLimit-Policy", "In every response: q requests in w seconds.")
            _describe_header(
                response,
                "RateLimit",
                "In every response: the caller's remaining quota, r requests; t seconds until one more.",
            )
        if status == "default" or (status == "409" and "422" in responses):
            _describe_header(response, "Retry-After", "Seconds to wait before a retry.")
        if status == "201":
            _describe_header(response, "Location", "The URL of the new resource.")
        if status == "default":
            _describe_header(
                response, "WWW-Authenticate", "With 401 and 403: the error of the token, or the scope that it lacks."
            )
        if status == "415":
            _describe_header(response, "Accept-Encoding", "`identity` if the request has another Content-Encoding.")
        problem = response.get("content", {}).get(PROBLEM_MEDIA_TYPE)
        if problem and "examples" not in problem:
            problem["examples"] = {status: {"value": _example_problem(status)}}
    in_path = [parameter for parameter in parameters if parameter["in"] == "path"]
    for parameter in parameters:
        _describe_parameter(parameter)
    if method == "DELETE" and len(in_path) == 1:
        in_path[0]["example"] = CREATED_OBJECTS[in_path[0]["name"]]


def _add_conditions(parameters: list[Any], responses: dict[str, Any], method: str) -> None:
    if method == "GET":
        parameters.append(_header("If-None-Match", "ETags that the caller has. 304 if one matches."))
        responses["304"] = {"description": "Not modified"}
        _describe_header(responses["304"], "ETag", "The ETag of the current resource.")
    elif method != "POST":
        if method == "PUT":
            parameters.append(_header("If-None-Match", "`*`: 412 if the resource exists."))
            responses["201"] = {**responses["200"], "description": "Created"}
        parameters.append(_header("If-Match", "The ETag that was read. 412 if the resource has changed since."))
        _add_problem(responses, "412")
        _add_problem(responses, "428")
    for status in ("200", "201"):
        if status in responses:
            _describe_header(responses[status], "ETag", "The ETag, to send as If-Match or If-None-Match.")


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def _describe_header(response: dict[str, Any], header: str, description: str) -> None:
    response.setdefault("headers", {})[header] = {"schema": {"type": "string"}, "description": description}


def _add_problem(responses: dict[str, Any], status: str) -> None:
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses.setdefault(status, {"content": content, "description": PROBLEMS[status][0]})


def _default_response() -> dict[str, Any]:
    """Return the response for the problems that any operation may return."""
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {status: {"value": _example_problem(status)} for status in COMMON_STATUSES},
    }
    meanings = ", ".join(f"{status} {PROBLEMS[status][0].lower()}" for status in COMMON_STATUSES)
    return {"content": {PROBLEM_MEDIA_TYPE: content}, "description": f"A problem of any operation: {meanings}"}


def _example_problem(status: str) -> dict[str, Any]:
    title, code, message = PROBLEMS[status]
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": int(status),
        "detail": message,
        "code": code,
        "errors": [{"code": code, "field": None, "message": message}],
        "request_id": REQUEST_ID,
    }


def _describe_parameter(parameter: dict[str, Any]) -> None:
    name = parameter["name"]
    if parameter["in"] == "path":
        parameter["description"], parameter["example"] = PATH_PARAMETERS[name]
    elif name in SAMPLE_VALUES:
        text = parameter.get("description", "Matches this value exactly.")
        parameter["description"] = f"{text} For example {SAMPLE_VALUES[name]}."
