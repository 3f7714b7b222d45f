"""
Problem details for every error of the API, by RFC 9457.

Refusals, invalid input, 404, 405 and 500 all have the same members: ``type``, ``title``, ``status``, ``detail``,
``code``, ``errors`` (each with ``code``, ``field``, ``message``) and ``request_id``. Some refusals have more members.
"""

import dataclasses
import errno
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rest_framework import exceptions, serializers

from school.db.constraints import ConstraintInfo, violated_constraint
from school.db.loggable_error_details import error_details
from school.observability.logging import bind_cause, current_request_id
from school.refusals import Refusal, Refused, shorten

CONTENT_TYPE = "application/problem+json"
WAIVE_SCOPE = "enrollments:waive"

# The limits of a problem document, so that a response is not many times as large as its request.
MAX_ERRORS = 100
MAX_DETAIL_LENGTH = 5_000  # the maximum length of the detail
MAX_FIELD_LENGTH = 100

# The statuses of refusals that are not due to a rule (409): the object is missing, or not for this caller.
STATUS_BY_CODE = {
    **dict.fromkeys(["student_not_found", "course_not_found", "term_not_found", "not_enrolled"], 404),
    **dict.fromkeys(["import_not_found", "grade_not_found"], 404),
    "invalid_identifier": 404,  # this status is for an identifier in the URL; in a body, it is the error of a field
    **dict.fromkeys(["blank", "control_characters", "unknown_grade"], 400),
    **dict.fromkeys(["invalid_choice", "invalid_scope", "mode_not_offered", "unknown_option"], 400),
    "waiver_not_allowed": 403,
    "outside_limits": 403,
    **dict.fromkeys(["cursor_expired", "not_kept"], 410),
    "precondition_failed": 412,
}


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# The keys under which DRF and Django report errors that belong to no field.
NON_FIELD_KEYS = {"non_field_errors", "__all__"}


def challenge_headers(problem_body: dict[str, Any], request: Any) -> dict[str, str]:
    """Return the challenge for a token that lacks a scope (RFC 6750, 3.1); the answer names that scope, too."""
    if problem_body["code"] == "waiver_not_allowed" and getattr(request, "grant", None) is not None:
        problem_body["missing_scope"] = WAIVE_SCOPE
    scope = problem_body.get("missing_scope")
    return {"WWW-Authenticate": f'Bearer realm="api",error="insufficient_scope",scope="{scope}"'} if scope else {}


def error_headers(exc: Exception) -> dict[str, str]:
    """Return the response headers for an exception."""
    headers = {}
    if isinstance(exc, exceptions.APIException):
        if header := getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = f"{wait:.0f}"
    return headers


def problem_from_exception(exc: Exception) -> dict[str, Any] | None:
    match exc:
        case Refused():
            return problem(status_of(exc.refusals), exc.refusals)
        case ModelError():
            return _validation_problem(serializers.as_serializer_error(exc))
        case exceptions.ValidationError():
            return _validation_problem(exc.detail)
        case OSError() if exc.errno in DISK_FULL:
            return problem(507, [Refusal("storage_full", _("The server has no disk space for this file."))])
        case RequestDataTooBig():
            return problem(413, [Refusal("body_too_large", _("The body is too large."))])
        case Http404() | exceptions.NotFound():
            return problem(404, [Refusal("not_found", _("There is no resource at this URL."), _("Not found"))])
        case PermissionDenied():
            return problem(
                403, [Refusal("permission_denied", _("You do not have permission to do this."), _("Not allowed"))]
            )
        case exceptions.APIException():
            code = str(exc.get_codes())
            return {**problem(exc.status_code, [Refusal(code, str(exc.detail))]), **getattr(exc, "members", {})}
        case IntegrityError() if (constraint := violated_constraint(exc)) is not None:
            bind_cause(**error_details(exc))
            return _field_problem(409, [_constraint_refusal(constraint)])
    return None


def _constraint_refusal(constraint: ConstraintInfo) -> Refusal:
    """Return the refusal of a row that conflicts with a row that another transaction has saved."""
    if constraint.is_unique:
        message = constraint.message or _("An object with this key already exists.")
        return Refusal("unique", str(message), field=constraint.field)
    message = _("Another request saved a conflicting change at the same time. Read the object again and retry.")
    return Refusal("conflict", message, _("Conflict"))


def status_of(refusals: Sequence[Refusal]) -> int:
    """
    Return the status of a refusal with these reasons: that of the first one.

    ``not_enrolled`` is 404 for the enrollment of the URL, and 409 for a course that a field names.
    """
    first = refusals[0]
    return 409 if first.code == "not_enrolled" and first.field else STATUS_BY_CODE.get(first.code, 409)


def problem(status: int, reasons: Sequence[Refusal]) -> dict[str, Any]:
    """Return the body of a problem. The first reason gives its code and title."""
    return _problem(status, reasons, [reason.message for reason in reasons[:MAX_ERRORS]])


def _problem(status: int, reasons: Sequence[Refusal], messages: list[str]) -> dict[str, Any]:
    """Return the body of a problem with these sentences as detail. ``errors`` has at most ``MAX_ERRORS`` items."""
    named, first = [shorten_reason(reason) for reason in reasons[:MAX_ERRORS]], reasons[0]
    detail = shorten(" ".join(shorten(message) for message in messages), MAX_DETAIL_LENGTH)
    if more := len(reasons) - len(named):
        detail += " " + ngettext("And %(n)s more error.", "And %(n)s more errors.", more) % {"n": more}
    if status in (409, 503):
        bind_cause(problem_codes=[reason.code for reason in named])
    return {
        "type": f"{settings.PROBLEM_TYPE_BASE}{first.code}",
        "title": first.title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": first.code,
        "errors": [reason.as_error() for reason in named],
        "request_id": current_request_id(),
        **first.members,
    }


def _validation_problem(detail: Any) -> dict[str, Any]:
    """
    Return a problem with all field errors in a flat list.

    Its status is 409 if each error is a conflict with an existing row, else 400.
    """
    errors = list(flatten_errors(detail))
    if {error.code for error in errors} == {"unique"}:
        return _field_problem(409, errors)
    answer = _field_problem(400, errors)
    return {**answer, "type": f"{settings.PROBLEM_TYPE_BASE}invalid", "title": _("Invalid input"), "code": "invalid"}


def _field_problem(status: int, reasons: Sequence[Refusal]) -> dict[str, Any]:
    """Return a problem whose detail names the field of each reason."""
    named = reasons[:MAX_ERRORS]
    return _problem(
        status, reasons, [f"{each.field}: {each.message}" if each.field else each.message for each in named]
    )


def shorten_reason(reason: Refusal) -> Refusal:
    """Return a reason with its message and field shortened: they may quote a text as long as a body."""
    field = reason.field and shorten(reason.field, MAX_FIELD_LENGTH)
    return dataclasses.replace(reason, message=shorten(reason.message), field=field)


def flatten_errors(detail: Any, path: tuple[str, ...] = ()) -> Iterator[Refusal]:
    """Yield the errors that DRF nests by field, each with the path to its field."""
    if isinstance(detail, dict):
        for name, child in detail.items():
            yield from flatten_errors(child, path if name in NON_FIELD_KEYS else (*path, str(name)))
    elif isinstance(detail, list):
        for position, child in enumerate(detail):
            yield from flatten_errors(child, path if isinstance(child, str) else (*path, str(position)))
    else:
        yield Refusal(getattr(detail, "code", "invalid"), str(detail), field=".".join(path) or None)


def single_problem_response(status: int, code: str, message: str, title: str = "") -> HttpResponse:
    return problem_response(problem(status, [Refusal(code, message, title)]))


def problem_response(problem_body: dict[str, Any], headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse(problem_body, status=problem_body["status"], headers=headers, content_type=CONTENT_TYPE)


def length_required(request: HttpRequest) -> HttpResponse:
    """Answer 411: a body comes without a Content-Length."""
    return single_problem_response(411, "length_required", _("Send the body with a Content-Length."))


def unsupported_charset(request: HttpRequest) -> HttpResponse:
    """Answer 415: the request is not encoded in UTF-8."""
    return single_problem_response(415, "unsupported_media_type", _("Send the request in UTF-8."))


def unsupported_encoding(request: HttpRequest) -> HttpResponse:
    """Answer 415: the body is compressed or has another content coding (RFC 9110, 15.5.16)."""
    message = _("Send the body without a Content-Encoding such as gzip.")
    response = single_problem_response(415, "unsupported_media_type", message)
    response["Accept-Encoding"] = "identity"
    return response


def body_too_large(request: HttpRequest) -> HttpResponse:
    """Answer 413: the body is larger than any that this server accepts."""
    return single_problem_response(413, "body_too_large", _("The body is too large."))


def cookies_too_large(request: HttpRequest) -> HttpResponse:
    """Answer 431: the Cookie header is longer than the server parses."""
    return single_problem_response(
        431, "cookies_too_large", _("The cookies of this request are too large. Delete them and try again.")
    )


def too_many_attempts() -> HttpResponse:
    """Answer 429: a secret was guessed at, and its client is locked for this address."""
    return single_problem_response(
        429, "too_many_attempts", _("Too many failed attempts. Retry after the time in Retry-After.")
    )
