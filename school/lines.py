"""
The way of a line of the log from structlog to the handlers of the root logger.

The one by way of logging's loggers costs twice as much, and a fifth of a short answer went into it: they look for where
they were called from, ask every logger above, and structlog's formatter works on each line anew. What libraries log
still goes that way.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

STDERR = 2
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


# What handlers look at in a line, as it is in one of which nothing more is known.
NOTHING_MORE = vars(logging.LogRecord("", 0, "", 0, "", None, None))


class Line(logging.LogRecord):
    """A line that has all that it says in ``msg``."""

    def __init__(self, name: str, level: str, event: EventDict) -> None:
        known = {"name": name, "levelname": level.upper(), "levelno": LEVELS[level], "msg": event}
        self.__dict__ = {**NOTHING_MORE, **known, "created": time.time()}


class Lines:
    """What structlog calls a logger: hands lines to the handlers of the root logger."""

    def __init__(self, name: str = "root") -> None:
        self.name = name
        for level in LEVELS:
            setattr(self, level, self._writer(level))

    def _writer(self, level: str) -> Callable[[EventDict], None]:
        def write(event: EventDict) -> None:
            line = Line(self.name, level, event)
            for handler in logging.root.handlers:
                if line.levelno >= handler.level:
                    handler.handle(line)

        return write


def as_it_is(logger: WrappedLogger, name: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    """End structlog's chain: the formatter renders."""
    return (event,), {}


class Formatter(ProcessorFormatter):
    """structlog's, which has nothing more to find out of a line of structlog's own."""

    def __init__(self, renderer: Any, **options: Any) -> None:
        super().__init__(processors=[ProcessorFormatter.remove_processors_meta, renderer], **options)
        self.renderer = renderer

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record, Line):
            event: Any = record.msg
            return str(self.renderer(None, record.levelname, {**event}))
        return super().format(record)


_in_json = json.JSONEncoder(default=repr).encode


def json_renderer() -> JSONRenderer:
    """Return a renderer whose encoder is made once."""
    return JSONRenderer(serializer=lambda event, **options: _in_json(event))


class StandardError(logging.Handler):
    """
    Writes each line by one call, and waits for no lock.

    The kernel does not mix what is written so, in a pipe up to 4 KB, which no line reaches. Threads that waited for
    each other to write, and for the interpreter besides, cost a short answer a twentieth.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        kept = self.filter(record)
        if kept:
            self.emit(record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
            while line:
                line = line[os.write(STDERR, line) :]
        except Exception:  # noqa: BLE001  # no line is worth the request that it tells of
            self.handleError(record)
