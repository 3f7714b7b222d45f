"""
Logging: JSON in production, readable text in development, and in both only ids of persons.

Names, emails and student numbers are never logged. This module removes the sources that could contain them: the texts
of errors, which quote rows and input, and Django's own request loggers, which print paths and queries.
"""

import json
import logging
import os
import sys
import traceback
from typing import Any, TextIO

import structlog
from django.http import HttpRequest
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from school.db.loggable_error_details import error_details

STDERR = "stderr"  # the name of the log handler
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# The maximum number of characters of a stack: in a pipe, lines of more than 4 KB could be mixed with other lines.
MAX_STACK = 3_000


def remove_error_texts(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and its stack: its text may quote rows and request data."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    elif isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    if not exc_info or exc_info[0] is None:
        return event
    chain: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        chain.append(type(error).__name__)
        event.update({name: value for name, value in error_details(error).items() if name not in event})
        error = error.__cause__ or error.__context__
    event["exception_type"] = " < ".join(chain)
    event["stack"] = _innermost_frames(traceback.format_tb(exc_info[2]))
    return event


def _innermost_frames(frames: list[str]) -> str:
    """Return the innermost frames, at least one, in at most ``MAX_STACK`` characters."""
    innermost = frames[-1:]
    for frame in reversed(frames[:-1]):
        if sum(map(len, innermost)) + len(frame) > MAX_STACK:
            break
        innermost.insert(0, frame)
    return "".join(innermost)[-MAX_STACK:]


PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    remove_error_texts,
]


def method_label(request: HttpRequest) -> str:
    """Return the request's method for logs and metrics; "other" for a nonstandard one."""
    return str(request.method) if request.method in METHODS else "other"


def use_colors(stream: TextIO) -> bool:
    """Return True if output may be colored: on a terminal that is not dumb, and without NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def logging_config(*, as_json: bool, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING`` and configure structlog to match. All logs go to standard error."""
    # For speed, do not collect values that no log entry shows, as Python's documentation of logging advises.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # this disables finding the location of the calling code
    structlog.configure(
        processors=[*PROCESSORS, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    encode_json = json.JSONEncoder(default=repr).encode  # the loggers are created once
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=lambda event, **options: encode_json(event))
        if as_json
        else structlog.dev.ConsoleRenderer(colors=use_colors(sys.stderr))
    )
    # These libraries log nothing important below that level.
    silent = {"handlers": ["nowhere"], "propagate": False, "level": "CRITICAL"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": ProcessorFormatter,
                "processors": [ProcessorFormatter.remove_processors_meta, renderer],
                "foreign_pre_chain": PROCESSORS,
            },
        },
        "handlers": {
            STDERR: {"class": "logging.StreamHandler", "formatter": "structlog"},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": [STDERR], "level": level},
        "loggers": {
            # The entries of these loggers contain paths, and django_structlog logs the same events.
            "django.request": silent,
            "django.security.csrf": silent,
            # This logger would log a stack for each invalid host that a scanner sends.
            "django.security.DisallowedHost": silent,
            "django.server": silent,
            "oauth2_provider": {"level": "WARNING"},
            # The entries of this logger contain paths; school.accounts.lockout logs failures by ids.
            "axes": {"level": "ERROR"},
            # A worker polls for tasks every second, and would log each poll.
        },
    }


def bind_cause(**cause: Any) -> None:
    """Add the cause of an error response to the log entry of the request: codes and names, never error texts."""
    structlog.contextvars.bind_contextvars(**cause)


_request_id = structlog.contextvars.bind_contextvars(request_id="")["request_id"].var
structlog.contextvars.unbind_contextvars("request_id")


def current_request_id() -> str:
    """Return the id of the current request or command, "" if there is none."""
    # This reads one variable, which is faster than merging all bound context variables.
    request_id = _request_id.get("")
    return "" if request_id is ... else str(request_id)
