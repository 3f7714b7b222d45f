"""What happens to every request before a view sees it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware

from school.api.problems import bad_request, not_found
from school.logs import current_request_id


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
    Take an API path with or without a trailing slash, and refuse what a database cannot take.

    PostgreSQL cannot compare NUL, and SQLite cannot look for an integer beyond 64 bits; Django hands over both.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info:
            return not_found(request)
        if "%00" in request.META.get("QUERY_STRING", ""):
            return bad_request(request)
        if request.path_info.startswith(("/api/", "/oauth/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return bad_request(request, exception) if isinstance(exception, OverflowError) else None
