"""What happens to every request before a view sees it."""

import uuid
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware

from school.api.problems import AWAY, bad_request, busy
from school.door import turned_away
from school.logs import current_request_id
from school.search import bounded, is_bounded


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

    def __call__(self, request: HttpRequest) -> Any:
        """The same as the library's, which looks each time whether it is asynchronous."""
        self.prepare(request)
        response: Any = self.get_response(request)
        self.handle_response(request, response)
        return response

    def prepare(self, request: HttpRequest) -> None:
        """Give the request its id, and log nothing: the line that knows how it ended is the one that is wanted."""
        structlog.contextvars.bind_contextvars(request_id=str(uuid.uuid4()))

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Name who has shown a session. A program is named where its token is read."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            RequestMiddleware.bind_user_id(request)

    def handle_response(self, request: HttpRequest, response: Any) -> None:
        response["X-Request-ID"] = current_request_id()
        super().handle_response(request, response)


class BoundsMiddleware:
    """
    Take an API path with or without a trailing slash, and refuse what the server or a database cannot take.

    SQLite cannot look for an integer beyond 64 bits, and Django hands it over. A database that is busy is told of as
    such.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (refusal := turned_away(request)) is not None:
            return refusal
        if request.path_info.startswith(("/api/", "/oauth/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        if request.path_info.startswith("/admin/"):
            bound_searches(request)
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OverflowError) or is_no_id(exception):
            return bad_request(request, exception)
        return busy(request, exception) if isinstance(exception, AWAY) else None


def bound_searches(request: HttpRequest) -> None:
    """Let the admin, of libraries too, search for the first words of a long search."""
    for name in ("q", "term", "s"):
        if not is_bounded(request.GET.get(name, "")):
            query: Any = request.GET.copy()
            query[name] = bounded(query[name])
            request.GET = query


def is_no_id(exception: Exception) -> bool:
    """Tell whether Django's admin was given something as an id that cannot be one."""
    return isinstance(exception, ValueError) and "expected a number but got" in str(exception)
