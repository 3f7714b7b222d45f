"""
Problem details for every error of the API, by RFC 9457.

One shape for refusals, invalid input, 404, 405 and 500 alike: ``type``, ``title``, ``status``, ``detail``, ``code``,
``errors`` (each with ``code``, ``field``, ``message``) and ``request_id``.
"""

import errno
import sys
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _
from django.views import defaults
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import set_rollback

from school.logs import current_request_id
from school.postgresql import is_unanswered
from school.refusals import Refusal, Refused

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 2  # seconds

# What is refused because it is not there, or to this caller, rather than because of a rule.
STATUSES = {
    **dict.fromkeys(["student_not_found", "course_not_found", "term_not_found", "not_enrolled"], 404),
    "import_not_found": 404,
    **dict.fromkeys(["invalid_choice", "invalid_scope", "mode_not_offered", "unknown_option"], 400),
    "waiver_not_allowed": 403,
    "outside_limits": 403,
    "cursor_expired": 410,
    "precondition_failed": 412,
}

# What a database raises that is busy, full, or not there.
AWAY = (OperationalError, InterfaceError)

FULL = (errno.ENOSPC, errno.EDQUOT)

# What DRF and Django call an error that belongs to no field.
WHOLE = {"non_field_errors", "__all__"}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """
    Answer what a view raised with a problem.

    What can happen to any request is left to ``BoundsMiddleware``, and what nobody foresaw to ``server_error``.
    """
    answer = _response_to(exc)
    if answer is None:
        return None
    set_rollback()
    return Response(answer, status=answer["status"], headers=_headers_of(exc), content_type=CONTENT_TYPE)


def _headers_of(exc: Exception) -> dict[str, str]:
    """Return what is said of an exception beside its problem."""
    headers = {}
    if isinstance(exc, exceptions.APIException):
        if header := getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = header
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = f"{wait:.0f}"
    return headers


def _response_to(exc: Exception) -> dict[str, Any] | None:
    match exc:
        case Refused():
            return problem(status_of(exc.refusals), exc.refusals)
        case ModelError():
            return _invalid(serializers.as_serializer_error(exc))
        case exceptions.ValidationError():
            return _invalid(exc.detail)
        case OSError() if exc.errno in FULL:
            return problem(507, [Refusal("storage_full", _("There is no room for this file."))])
        case RequestDataTooBig():
            return problem(413, [Refusal("body_too_large", _("The body is too large."))])
        case Http404() | exceptions.NotFound():
            return problem(404, [Refusal("not_found", _("There is nothing at this address."), _("Not found"))])
        case PermissionDenied():
            return problem(403, [Refusal("permission_denied", _("You may not do this."), _("Not allowed"))])
        case exceptions.APIException():
            code = str(exc.get_codes())
            return problem(exc.status_code, [Refusal(code, str(exc.detail))])
        case ProtectedError():
            message = _("It has history, which is kept. Deactivate it instead.")
            return problem(409, [Refusal("has_history", message, _("Has history"))])
        case IntegrityError():
            message = _("Somebody else saved something in the way of this at the same moment. Read again and retry.")
            return problem(409, [Refusal("conflict", message, _("Conflict"))])
    return None


def status_of(refusals: Sequence[Refusal]) -> int:
    """Return the status that answers a refusal with these reasons."""
    return STATUSES.get(refusals[0].code, 409)


def problem(status: int, reasons: Sequence[Refusal]) -> dict[str, Any]:
    """Return the problem's body. The first reason gives it its code and title, ``errors`` has them all."""
    first = reasons[0]
    return {
        "type": f"{settings.PROBLEM_TYPE_BASE}{first.code}",
        "title": first.title or HTTPStatus(status).phrase,
        "status": status,
        "detail": " ".join(reason.message for reason in reasons),
        "code": first.code,
        "errors": [{"code": r.code, "field": r.field, "message": r.message} for r in reasons],
        "request_id": current_request_id(),
    }


def _invalid(detail: Any) -> dict[str, Any]:
    """Every field error in one flat list. A clash with what exists is a conflict, all else is bad input."""
    errors = list(reasons_in(detail))
    if {error.code for error in errors} == {"unique"}:
        return problem(409, errors)
    answer = problem(400, errors)
    return {**answer, "type": f"{settings.PROBLEM_TYPE_BASE}invalid", "title": _("Invalid input"), "code": "invalid"}


def reasons_in(detail: Any, path: tuple[str, ...] = ()) -> Iterator[Refusal]:
    """Yield the errors that DRF nests by field, each with the path to its field."""
    if isinstance(detail, dict):
        for name, child in detail.items():
            yield from reasons_in(child, path if name in WHOLE else (*path, str(name)))
    elif isinstance(detail, list):
        for position, child in enumerate(detail):
            yield from reasons_in(child, path if isinstance(child, str) else (*path, str(position)))
    else:
        yield Refusal(getattr(detail, "code", "invalid"), str(detail), field=".".join(path) or None)


def answer_to(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Answer what was raised outside of DRF's views as if it had been within; None for what nobody foresaw."""
    answer = _response_to(exception)
    return foreseen(request, exception) if answer is None else _written(answer, _headers_of(exception))


def _plain(status: int, code: str, message: str, title: str = "") -> HttpResponse:
    return _written(problem(status, [Refusal(code, message, title)]))


def _written(answer: dict[str, Any], headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse(answer, status=answer["status"], headers=headers, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400: a request that is broken below the level of fields."""
    if not request.path.startswith("/api/"):
        with override(get_language_from_request(request)):  # turned away at the door, where no language is chosen yet
            return defaults.bad_request(request, exception or SuspiciousOperation())
    return _plain(400, "bad_request", _("The request is malformed."))


def length_required(request: HttpRequest) -> HttpResponse:
    """A body comes without a Content-Length."""
    return _plain(411, "length_required", _("Send the body with a Content-Length."))


def unsupported_charset(request: HttpRequest) -> HttpResponse:
    """What is sent is written in something else than UTF-8."""
    return _plain(415, "unsupported_media_type", _("Send UTF-8."))


def body_too_large(request: HttpRequest) -> HttpResponse:
    """A body is larger than anything that is taken here."""
    return _plain(413, "body_too_large", _("The body is too large."))


def busy(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """The database did not let go of something in time, or is away: trying again may work."""
    message = _("The database is busy or away. Nothing was done: try again.")
    if is_unanswered(exception):
        message = _("The database went away. Whether it is done is not known: look, or send it again.")
    if request.path.startswith(("/api/", "/oauth/")):
        response = _plain(503, "busy", message, _("Busy"))
    else:
        response = HttpResponse(message, status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def foreseen(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Return the answer to what can happen to any request: a database that is busy, or an id that it cannot take."""
    is_no_id = isinstance(exception, ValueError) and "expected a number but got" in str(exception)  # in Django's admin
    if is_no_id or isinstance(exception, OverflowError):
        return bad_request(request, exception)
    return busy(request, exception) if isinstance(exception, AWAY) else None


def too_many_attempts() -> HttpResponse:
    """A secret was guessed at: its client is locked for this address."""
    return _plain(429, "too_many_attempts", _("Too many failed attempts. Come back after Retry-After."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: a problem under ``/api/``, a page elsewhere."""
    if request.path.startswith("/api/"):
        return _plain(404, "not_found", _("There is nothing at this address."))
    with override(get_language_from_request(request)):
        return defaults.page_not_found(request, exception or Http404())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a problem under ``/api/``, a page elsewhere."""
    error = sys.exc_info()[1]
    if isinstance(error, OSError) and error.errno in FULL:  # met while Django itself read the form
        message = _("There is no room on the server for this file. Nothing is kept of it.")
        return HttpResponse(message, status=507, content_type="text/plain; charset=utf-8")
    if isinstance(error, AWAY):  # met outside of a view, when a session was saved for example
        return busy(request, error)
    if request.path.startswith("/api/"):
        return _plain(500, "server_error", _("Something went wrong here. The log has it under this request id."))
    page = render_to_string("500.html", {"request_id": current_request_id()})  # without the request: it may be why
    return HttpResponse(page, status=500)
