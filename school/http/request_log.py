"""The log entries of requests: their ids, routes and durations."""

import logging
import random
import time
import uuid
from typing import Any

import structlog
from django.conf import settings
from django.dispatch import receiver
from django.http import HttpRequest
from django_structlog import signals
from django_structlog.middlewares import RequestMiddleware
from django_structlog.middlewares.request import logger

from school.observability.logging import current_request_id, method_label

LOG_LEVELS = {4: logging.WARNING, 5: logging.ERROR}  # maps the first digit of the status code to the log level


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
        Assign the request its id.

        Nothing is logged here, because one log entry at the end of the request is enough. The id is not a secret, so
        pseudorandom bits suffice. They are faster than ``os.urandom``, which releases the GIL and then waits for it.
        """
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]  # for the log entry
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


def milliseconds_of(request: Any) -> float:
    """Return the milliseconds since the request began."""
    return round((time.perf_counter() - request.started_at) * 1000, 1)


@receiver([signals.bind_extra_request_finished_metadata, signals.bind_extra_request_failed_metadata])
def add_duration(request: HttpRequest, log_kwargs: dict[str, Any], **_others: Any) -> None:
    """Add the duration to the log entries that the library writes: of streams, up to their start, and of failures."""
    log_kwargs["duration_ms"] = milliseconds_of(request)
