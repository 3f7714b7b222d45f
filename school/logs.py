"""
Logs: JSON lines in production, readable lines in development, ids instead of persons in both.

Names, emails and student numbers never reach a log. What could carry them is kept out here: the texts of errors, which
quote rows and input, and Django's own request loggers, which print paths and queries.
"""

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from school.lines import Formatter, Lines, as_it_is, json_renderer

STACK = 3_000  # letters: a line of 4 KB and more could be mixed with others in a pipe


def without_texts_of_errors(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and its stack: its text may quote rows and what was sent."""
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
        error = error.__cause__ or error.__context__
    event["exception_type"] = " < ".join(chain)
    event["stack"] = _innermost(traceback.format_tb(exc_info[2]))
    return event


def _innermost(frames: list[str]) -> str:
    """Return the frames next to the error, as many as a line has room for, at least one of them."""
    kept = frames[-1:]
    for frame in reversed(frames[:-1]):
        if sum(map(len, kept)) + len(frame) > STACK:
            break
        kept.insert(0, frame)
    return "".join(kept)[-STACK:]


PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    without_texts_of_errors,
]


def logging_config(*, as_json: bool, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING`` and set structlog up to match it. Everything goes to standard error."""
    # What no line shows need not be found out for each: by the advice of Python's own documentation of logging.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # where a call was made from
    structlog.configure(
        processors=[*PROCESSORS, as_it_is],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Lines,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = json_renderer() if as_json else structlog.dev.ConsoleRenderer()
    silent = {"handlers": ["nowhere"], "propagate": False, "level": "CRITICAL"}  # which none of their lines is
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": Formatter,
                "renderer": renderer,
                "foreign_pre_chain": PROCESSORS,
            },
        },
        "handlers": {
            "stderr": {"class": "school.lines.StandardError", "formatter": "structlog"},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Their lines hold paths, and django_structlog has told the same already.
            "django.request": silent,
            "django.security.csrf": silent,
            "django.server": silent,
            "oauth2_provider": {"level": "WARNING"},
            "axes": {"level": "ERROR"},  # its lines hold paths; school.logins tells of failures by ids
            # A worker that looks for work every second would tell so every second.
            "django_tasks": {"level": "WARNING"},
            "django_tasks_db": {"level": "WARNING"},
        },
    }


_request_id = structlog.contextvars.bind_contextvars(request_id="")["request_id"].var
structlog.contextvars.unbind_contextvars("request_id")


def current_request_id() -> str:
    """Return the id of the request or command at work, or "" outside of one."""
    found = _request_id.get("")  # asked for by itself: to collect all that is bound takes a while
    return "" if found is ... else str(found)
