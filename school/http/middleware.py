"""Middleware for logging, probes, caching and request limits."""

import logging
import random
import re
import time
import uuid
from typing import Any

import structlog
from django.conf import settings
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import resolve
from django_structlog import signals
from django_structlog.middlewares import RequestMiddleware
from django_structlog.middlewares.request import logger

from school.http.form_limits import reject_form
from school.http.problems import bad_request, known_error_response
from school.http.request_guard import reject
from school.http.search_limits import is_within_limits, truncate_search
from school.observability.logging import current_request_id, method_label

# Load balancers and Prometheus request these paths by the machine's IP address.
PROBE_PATHS = ("/health", "/health/live", "/health/ready", "/metrics")

# A list page of the admin repeats its query in each link: with a long query the page would have megabytes.
MAX_ADMIN_QUERY = 8_192

# The indentation of an HTML page; the first group matches the elements that keep theirs.
INDENTATION = re.compile(rb"(<(textarea|pre)\b.*?</\2>)|\n\s+", re.DOTALL)

LOG_LEVELS = {4: logging.WARNING, 5: logging.ERROR}  # log level by the first digit of the status code


class RequestLogMiddleware(RequestMiddleware):
    """Assigns each request an id, logs it by its route and ids, and returns the id as ``X-Request-ID``."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Describe the request without its path and query, which may contain names, student numbers and tokens."""
        match = request.resolver_match
        if match is None:
            return method_label(request)
        ids = [f"{name}={value}" for name, value in match.kwargs.items() if str(value).isdecimal()]
        return " ".join([f"{method_label(request)} /{match.route}", *ids])

    def __call__(self, request: HttpRequest) -> Any:
        """Do the same as the library's method, without its check for asynchronous mode in each request."""
        self.prepare(request)
        response: Any = self.get_response(request)
        self.handle_response(request, response)
        return response

    def prepare(self, request: HttpRequest) -> None:
        """
        Assign the request its id. Log nothing: one log entry, at the end of the request, is enough.

        The id is not a secret, so pseudorandom bits suffice: ``os.urandom`` releases the GIL, and to reacquire it takes
        time.
        """
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]  # for the log entry at its end
        request_id = uuid.UUID(int=random.getrandbits(128), version=4)
        structlog.contextvars.bind_contextvars(request_id=str(request_id))

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Bind the user id of a request with a session. The API authentication binds the id of a client."""
        if "HTTP_COOKIE" in request.META and settings.SESSION_COOKIE_NAME in request.COOKIES:
            RequestMiddleware.bind_user_id(request)

    def handle_response(self, request: HttpRequest, response: Any) -> None:
        response["X-Request-ID"] = current_request_id()
        if response.streaming or hasattr(request, "_raised_exception"):
            super().handle_response(request, response)
            return
        # The same as the library's method, without copying the bound context for streams and without sending a signal.
        self.bind_user_id(request)
        level = LOG_LEVELS.get(response.status_code // 100, logging.INFO)
        logger.log(
            level,
            "request_finished",
            code=response.status_code,
            request=self.format_request(request),
            duration_ms=milliseconds_of(request),
        )
        structlog.contextvars.clear_contextvars()


class ProbeMiddleware:
    """Answers probes with any ``Host`` header: the middleware after this one rejects an unknown host with 400."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info.rstrip("/")
        if path not in PROBE_PATHS:
            response: HttpResponseBase = self.get_response(request)
            return response
        request.resolver_match = resolve(path)  # the log names requests by their route
        probe_response: HttpResponseBase = request.resolver_match.func(request)
        return probe_response


class CacheControlMiddleware:
    """
    Sets ``Cache-Control: private, no-cache`` on responses of the API and of OneRoster.

    No shared cache may store them, and a client must revalidate its copy by ``If-None-Match`` (RFC 9111, 5.2.2.4 and
    5.2.2.7).
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        if request.path_info.startswith(("/api/v1/", "/ims/")):
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


def milliseconds_of(request: Any) -> float:
    """Return the milliseconds since the request began."""
    return round((time.perf_counter() - request.started_at) * 1000, 1)


@receiver([signals.bind_extra_request_finished_metadata, signals.bind_extra_request_failed_metadata])
def add_duration(request: HttpRequest, log_kwargs: dict[str, Any], **_others: Any) -> None:
    """Add the duration to the log entries that the library writes: of streams, up to their start, and of failures."""
    log_kwargs["duration_ms"] = milliseconds_of(request)


class RequestLimitsMiddleware:
    """
    Accepts API paths with or without a trailing slash, and rejects requests that exceed limits of server or database.

    SQLite cannot search for an integer beyond 64 bits, and Django passes it on. A busy database is reported as such.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (refusal := reject(request)) is not None:
            return refusal
        if request.path_info.startswith(("/api/", "/oauth/", "/ims/")) and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        if request.path_info.startswith("/admin/"):
            truncate_searches(request)
            if len(request.META.get("QUERY_STRING", "")) > MAX_ADMIN_QUERY:
                return bad_request(request)
        response: HttpResponseBase = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return known_error_response(request, exception)


class FormLimitsMiddleware:
    """
    Rejects a form that is too large to be displayed again, and removes the indentation of the admin's pages.

    The theme's templates are indented, which made up a third of each page.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: Any = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html") and not response.streaming
        if is_page and request.path_info.startswith("/admin/"):
            response.content = INDENTATION.sub(lambda match: match[1] or b"\n", response.content)
        return response

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponseBase | None:
        is_form = request.method == "POST" and not request.path_info.startswith(("/api/", "/oauth/"))
        return reject_form(request) if is_form else None


def truncate_searches(request: HttpRequest) -> None:
    """Cut long search terms in requests to the admin, including pages of libraries, to the first words."""
    for name in ("q", "term", "s"):
        if not is_within_limits(request.GET.get(name, "")):
            query: Any = request.GET.copy()
            query[name] = truncate_search(query[name])
            request.GET = query
            request.META["QUERY_STRING"] = query.urlencode()
