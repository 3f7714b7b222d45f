"""The output of commands: escaped control characters, data streams, and closed pipes."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import OutputWrapper

from school.commands.private_files import OutputError

# Control characters except line breaks and tabs, line separators, text direction marks, unpaired surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)


def escape_control_characters(text: str) -> str:
    """Return the text with characters that control a terminal replaced by visible escapes: \\u001b for ESC."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class SafeOutput:
    """
    The messages of a command, escaped. If they can no longer be written, they are discarded, and the command goes on.

    ``failure`` is then the error; None if the reader has closed the pipe, which is not an error. ``data`` is the same
    output for the data that a command is to write: it stops the command instead.
    """

    def __init__(self, output: OutputWrapper) -> None:
        super().__setattr__("output", output)
        super().__setattr__("failure", None)

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:
        with self._discarded_if_closed():
            self.output.write(escape_control_characters(msg), style_func, ending)

    def flush(self) -> None:
        with self._discarded_if_closed():
            self.output.flush()

    @property
    def data(self) -> "DataOutput":
        return DataOutput(self)

    @contextmanager
    def _discarded_if_closed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                super().__setattr__("failure", error)
            self.discard()

    def discard(self) -> None:
        """Send the rest to nowhere: Python would print a second error when it flushes the output at exit."""
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.output.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.output, name, value)


class DataOutput:
    """
    Standard output for data: it is escaped on a terminal only.

    Raise ``ClosedPipe`` if the reader has closed the pipe, ``OutputError`` if the output cannot be written.
    """

    def __init__(self, output: SafeOutput) -> None:
        self.output = output
        self.is_terminal = output.isatty()

    def write(self, text: str) -> None:
        with self._errors():
            self.output.output.write(escape_control_characters(text) if self.is_terminal else text, ending="")

    def flush(self) -> None:
        with self._errors():
            self.output.output.flush()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.output.discard()
            raise ClosedPipe from None
        except OSError as error:
            self.output.discard()
            raise output_error(error) from None


class ClosedPipe(Exception):
    """The reader of the output has closed the pipe, ``head`` for example."""


def output_error(error: OSError) -> OutputError:
    return OutputError(f"Cannot write standard output: {error.strerror}.")
