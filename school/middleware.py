"""What happens to every request before a view sees it."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware

from school.api.problems import AWAY, bad_request, body_too_large, busy, length_required, not_found
from school.logs import current_request_id

FORM_AROUND_IT = 100_000  # bytes of a form beside the file in it


class RequestLogMiddleware(RequestMiddleware):
    """Give each request an id, log it by its route and ids, and send the id back as ``X-Request-ID``."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Name the request without its path and query, which may hold names, student numbers and tokens."""
        match = request.resolver_match
        if match is None:
            return f"{request.method}"
        ids = [f"{name}={value}" for name, value in match.kwargs.items() if str(value).isdecimal()]
        return " ".join([f"{request.method} /{match.route}", *ids])

    def handle_response(self, request: HttpRequest, response: Any) -> None:
        response["X-Request-ID"] = current_request_id()
        super().handle_response(request, response)


class BoundsMiddleware:
    """
    Take an API path with or without a trailing slash, and refuse what the server or a database cannot take.

    A body without a length would be read as empty. PostgreSQL cannot compare NUL, and SQLite cannot look for an
    integer beyond 64 bits; Django hands over both. A database that is busy is told of as such.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info:
            return not_found(request)
        if "%00" in request.META.get("QUERY_STRING", ""):
            return bad_request(request)
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            return length_required(request)
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.MAX_UPLOAD_BYTES + FORM_AROUND_IT:
            return body_too_large(request)
        if request.path_info.startswith(("/api/", "/oauth/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OverflowError) or is_no_id(exception):
            return bad_request(request, exception)
        return busy(request, exception) if isinstance(exception, AWAY) else None


def is_no_id(exception: Exception) -> bool:
    """Tell whether Django's admin was given something as an id that cannot be one."""
    return isinstance(exception, ValueError) and "expected a number but got" in str(exception)
