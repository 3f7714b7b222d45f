"""Handlers of errors outside of views: problems for the API, pages or plain text for all other requests."""

import sys

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _
from django.views import defaults
from rest_framework.permissions import SAFE_METHODS

from school.db.loggable_error_details import error_details
from school.db.postgresql import may_be_committed
from school.db.retry import RETRY_AFTER
from school.http.problems import (
    DISK_FULL,
    challenge_headers,
    error_headers,
    problem_from_exception,
    problem_response,
    single_problem_response,
)
from school.observability.logging import bind_cause, current_request_id

# The exceptions that mean that the database is busy, full or not reachable.
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)


def response_to_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """
    Return the response to an exception that was raised outside of DRF's views.

    It equals the response of a view. Return None for an unexpected exception.
    """
    answer = problem_from_exception(exception)
    if answer is None:
        return known_error_response(request, exception)
    return problem_response(answer, {**error_headers(exception), **challenge_headers(answer, request)})


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400: the request is malformed, for example its encoding or its headers."""
    if not request.path.startswith("/api/"):
        with override(get_language_from_request(request)):  # the request is refused before a language is activated
            return defaults.bad_request(request, exception or SuspiciousOperation())
    return single_problem_response(400, "bad_request", _("The request is malformed."))


def database_busy(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 503: the database did not release a lock in time, or is not reachable. A retry may succeed."""
    bind_cause(**error_details(exception))
    message = _("The database is busy or unavailable. The request was not applied. Try again.")
    if request.method not in SAFE_METHODS and may_be_committed(exception):
        message = _(
            "The connection to the database was lost. The request may have been applied. Check the result "
            "before you send the request again."
        )
    if request.path.startswith(("/api/", "/oauth/", "/ims/")):
        response = single_problem_response(503, "busy", message, _("Busy"))
    else:
        response = HttpResponse(message, status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def known_error_response(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Return the answer to a busy database or an invalid id, which any request can cause; None for other exceptions."""
    # Django's admin raises this for an invalid id.
    is_no_id = isinstance(exception, ValueError) and "expected a number but got" in str(exception)
    if is_no_id or isinstance(exception, OverflowError):
        return bad_request(request, exception)
    return database_busy(request, exception) if isinstance(exception, DATABASE_UNAVAILABLE) else None


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: a problem under ``/api/``, a page elsewhere."""
    if request.path.startswith("/api/"):
        return single_problem_response(404, "not_found", _("There is no resource at this URL."))
    with override(get_language_from_request(request)):
        return defaults.page_not_found(request, exception or Http404())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a problem under ``/api/``, a page elsewhere."""
    error = sys.exc_info()[1]
    if isinstance(error, OSError) and error.errno in DISK_FULL:  # this exception was raised while Django read the form
        message = _("The server has no disk space for this file. Nothing was stored.")
        return HttpResponse(message, status=507, content_type="text/plain; charset=utf-8")
    # This exception was raised outside of a view, for example when a session was saved.
    if isinstance(error, DATABASE_UNAVAILABLE):
        return database_busy(request, error)
    bind_cause(**error_details(error))
    if request.path.startswith("/api/"):
        return single_problem_response(
            500,
            "server_error",
            _("An unexpected error occurred. The server log has the details under this request id."),
        )
    # The page is rendered without the request, which may be the cause of the error.
    page = render_to_string("500.html", {"request_id": current_request_id()})
    return HttpResponse(page, status=500)
