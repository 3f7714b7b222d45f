"""What happens to every request before a view sees it."""

import logging
import random
import uuid
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django_structlog.middlewares import RequestMiddleware
from django_structlog.middlewares.request import logger

from school.api.problems import foreseen
from school.door import turned_away
from school.logs import current_request_id
from school.search import bounded, is_bounded

LEVELS = {4: logging.WARNING, 5: logging.ERROR}  # of the line of an answer, by its hundred


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
        """
        Give the request its id, and log nothing: the line that knows how it ended is the one that is wanted.

        The id is no secret. To ask the system for chance lets another thread run, and to come back takes a while.
        """
        request_id = uuid.UUID(int=random.getrandbits(128), version=4)
        structlog.contextvars.bind_contextvars(request_id=str(request_id))

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Name who has shown a session. A program is named where its token is read."""
        if "HTTP_COOKIE" in request.META and settings.SESSION_COOKIE_NAME in request.COOKIES:
            RequestMiddleware.bind_user_id(request)

    def handle_response(self, request: HttpRequest, response: Any) -> None:
        response["X-Request-ID"] = current_request_id()
        if response.streaming or hasattr(request, "_raised_exception"):
            super().handle_response(request, response)
            return
        # The same as the library's, which collects what is bound for the lines of a stream, and tells of the line.
        self.bind_user_id(request)
        level = LEVELS.get(response.status_code // 100, logging.INFO)
        logger.log(level, "request_finished", code=response.status_code, request=self.format_request(request))
        structlog.contextvars.clear_contextvars()


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
        return foreseen(request, exception)


def bound_searches(request: HttpRequest) -> None:
    """Let the admin, of libraries too, search for the first words of a long search."""
    for name in ("q", "term", "s"):
        if not is_bounded(request.GET.get(name, "")):
            query: Any = request.GET.copy()
            query[name] = bounded(query[name])
            request.GET = query
