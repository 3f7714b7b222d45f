"""What every operation of the OpenAPI document has in common: headers, conditions, problems, examples."""

from typing import Any

from school.api.conditional import ConditionalReads
from school.api.idempotency import KEY_PATTERN

PROBLEM = "application/problem+json"
REQUEST_ID = "8a1f6c1e-6a0b-4f0e-9a53-0c7f3a2b9d11"
TAG = '"43d56af5879dc1d05f6c3622228fd2e2"'

# By status: what it is called, and the code and the sentence of an example.
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "400": ("Malformed or invalid", "invalid", "There is no such filter."),
    "401": ("No or bad credentials", "not_authenticated", "Authentication credentials were not provided."),
    "403": ("Not allowed", "permission_denied", "You do not have permission to perform this action."),
    "404": ("Not found", "not_found", "There is nothing at this address."),
    "406": ("No such format", "not_acceptable", "Could not satisfy the request Accept header."),
    "409": ("Refused, with every reason", "course_full", "MATH-101 has no free seat."),
    "410": ("The cursor has expired", "cursor_expired", "What came behind this cursor is not kept any more."),
    "412": ("Changed meanwhile", "precondition_failed", "This is not what you have read."),
    "413": ("The body is too large", "body_too_large", "The body is too large."),
    "415": ("Not JSON", "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    "422": ("Not applied", "idempotency_key_reused", "This Idempotency-Key came with another request before."),
    "428": ("If-Match is required", "precondition_required", "Send the ETag of what you have read as If-Match."),
    "429": ("Too many requests", "too_many_requests", "These were too many requests in a minute."),
    "500": ("Something went wrong here", "server_error", "Something went wrong here."),
    "503": ("Busy", "busy", "The database is busy or away. Nothing was done: try again."),
}

# By name: an example of each parameter, whatever list it is of.
EXAMPLES: dict[str, Any] = {
    "after": "1:-G-UcmKhOWbdtAxHe19yD52ZINreB4jjNtCCbVzUBqI",
    "capacity": 30,
    "code": "MATH-101",
    "course": "code:MATH-101@2026F",
    "course_code": "MATH-101",
    "course_id": "code:MATH-101@2026F",
    "cursor": "WyJpZCIsZmFsc2UsIjEiLDFd:1xVXig:UAR_oc0BWLlECYoFt3eb3SSBl3u1W1gEY7Jqsuh6aI4",
    "dataset": "default",
    "has_seats": True,
    "id": "9001",
    "is_active": True,
    "kind": "enrollments",
    "level": "introductory",
    "limit": 100,
    "page_size": 50,
    "part": "enrollments",
    "running_on": "2026-10-01",
    "search": "byron",
    "state": "needs_review",
    "status": ["enrolled", "waitlisted"],
    "student": "number:S-1042",
    "student_id": "number:S-1042",
    "student_number": "S-1042",
    "term": "2026F",
    "term_id": "code:2026F",
    "updated_since": "2026-09-01T00:00:00Z",
    "wait": 20,
    "If-Match": TAG,
    "If-None-Match": TAG,
    "Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}

KEYS = {
    "student_id": "An id, or `number:` and a student number.",
    "course_id": "An id, or `code:` and a course's code, with `@` and the term's code.",
    "term_id": "An id, or `code:` and a term's code.",
}


def add_manners(operation: dict[str, Any], view: Any, method: str) -> None:
    """Add to an operation what it does not say itself."""
    parameters, responses = operation.setdefault("parameters", []), operation["responses"]
    if isinstance(view, ConditionalReads):
        _add_conditions(parameters, responses, method)
    handler = getattr(view, getattr(view, "action", None) or method.lower(), None)
    if getattr(handler, "takes_idempotency_key", False):
        key = _header("Idempotency-Key", "The same answer again to who sends the same key, for 24 hours.")
        key["schema"]["pattern"] = KEY_PATTERN
        parameters.append(key)
        _add_problem(responses, "422")
        _describe(
            responses["201" if "201" in responses else "200"], "Idempotency-Replayed", "`true` on an answer again."
        )
    for status in ("406", "429", "500", "503"):
        _add_problem(responses, status)
    for status, response in responses.items():
        _describe(response, "X-Request-ID", "The id of the request, the same as in problems and in the log.")
        if status == "429" or status.startswith("2"):
            _describe(response, "RateLimit-Policy", "How many requests in how many seconds: the quota q in a window w.")
            _describe(
                response, "RateLimit", "Where the caller stands: r requests are left, t seconds until there are more."
            )
        if status in ("429", "503") or (status == "409" and "422" in responses):
            _describe(response, "Retry-After", "Seconds to wait before trying again.")
        if status == "201":
            _describe(response, "Location", "Where it is.")
        if status == "401":
            _describe(response, "WWW-Authenticate", "What is wrong with the token (RFC 6750, 3).")
        if PROBLEM in response.get("content", {}):
            response["content"][PROBLEM].setdefault("examples", {status: {"value": _problem(status)}})
    for parameter in parameters:
        _illustrate(parameter)


def _add_conditions(parameters: list[Any], responses: dict[str, Any], method: str) -> None:
    if method == "GET":
        parameters.append(_header("If-None-Match", "Tags of what the caller has: 304 where it is the same still."))
        responses["304"] = {"description": "Not modified"}
        _describe(responses["304"], "ETag", "The tag of what is there.")
    elif method != "POST":
        parameters.append(_header("If-Match", "The tag of what was read: 412 where it has changed since."))
        _add_problem(responses, "412")
        _add_problem(responses, "428")
    for status in ("200", "201"):
        if status in responses:
            _describe(responses[status], "ETag", "The tag of what is answered, to come back with.")


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def _describe(response: dict[str, Any], header: str, description: str) -> None:
    response.setdefault("headers", {})[header] = {"schema": {"type": "string"}, "description": description}


def _add_problem(responses: dict[str, Any], status: str) -> None:
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses.setdefault(status, {"content": content, "description": PROBLEMS[status][0]})


def _problem(status: str) -> dict[str, Any]:
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


def _illustrate(parameter: dict[str, Any]) -> None:
    name, schema = parameter["name"], parameter["schema"]
    if parameter["in"] == "path" and name in KEYS:
        parameter["description"] = KEYS[name]
    if name == "fields":
        parameter.setdefault("example", schema["items"]["enum"][:2])
    elif name in ("expand", "ordering"):
        names = schema.get("enum") or schema["items"]["enum"]
        parameter.setdefault("example", names[0] if name == "ordering" else names[:1])
    elif name in EXAMPLES:
        parameter.setdefault("example", EXAMPLES[name])
