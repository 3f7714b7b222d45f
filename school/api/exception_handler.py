"""The exception handler of DRF: every error of a view becomes a problem."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from school.http.problems import CONTENT_TYPE, challenge_headers, error_headers, problem_from_exception


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """
    Return the problem for an exception that a view raised. Return None for an exception that other code handles.

    ``RequestChecksMiddleware`` handles exceptions that any request can cause, and ``server_error`` handles unexpected
    ones.
    """
    if isinstance(exc, exceptions.UnsupportedMediaType):
        media_types = ", ".join(parser.media_type for parser in context["view"].get_parsers())
        message = _("Send one of: %(media_types)s.") % {"media_types": media_types}
        exc.detail = exceptions.ErrorDetail(f"{exc.detail} {message}", exc.default_code)
    problem = problem_from_exception(exc)
    if problem is None:
        return None
    set_rollback()
    request: Any = context.get("request")
    headers = {**error_headers(exc), **challenge_headers(problem, request and request._request)}
    return Response(problem, status=problem["status"], headers=headers, content_type=CONTENT_TYPE)
