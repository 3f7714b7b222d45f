"""
Base class for commands: their help, their output, and their end on errors and interruptions.

A name, a cell or a file name may contain escape sequences, which a terminal executes, and characters that change the
text direction. Such characters are written as JSON escapes, so that JSON output keeps its meaning.
"""

import os
import re
import signal
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter, OutputWrapper
from django.db import DatabaseError, OperationalError, ProgrammingError

from school.commands.private_files import OutputError
from school.db.migration_check import NOT_MIGRATED, is_migrated

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


class HelpFormatter(DjangoHelpFormatter):
    """Keeps the lines of the text below the options."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            textwrap.fill(
                line, width, subsequent_indent=" " * 6 if line.startswith(" ") else "", break_on_hyphens=False
            )
            for line in text.splitlines()
        )


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Let the signals that end a process raise ``KeyboardInterrupt`` in the block, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    previous_handlers = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    for signum, handler in previous_handlers.items():
        if handler is not signal.SIG_IGN:  # as set by nohup
            signal.signal(signum, _raise_interrupt)
    try:
        yield
    finally:
        for signum, handler in previous_handlers.items():
            signal.signal(signum, handler)


def _raise_interrupt(*_: object) -> NoReturn:
    """Raise ``KeyboardInterrupt``, and ignore further signals, so that the interruption can be handled."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


class SafeCommand(BaseCommand):
    """
    A command that never writes control characters to a terminal, not even in error messages.

    It ends with an error message of one line if it is interrupted, if its output cannot be written, or if the database
    does not answer or lacks migrations. A reader that closes the pipe is not an error.
    """

    stdout: Any
    stderr: Any
    examples: ClassVar[tuple[str, ...]]  # command lines without manage.py
    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "done",
        1: "not done; the message has the reason",
        2: "the command line is wrong",
        130: "interrupted",
    }
    interrupted_message: ClassVar[str] = "Nothing was changed."
    interrupted_code: ClassVar[int] = 130

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs = {"formatter_class": HelpFormatter, "epilog": self.epilog(), **kwargs}
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        report_error = parser.error

        def error(message: str) -> Any:
            text = escape_control_characters(message)  # it quotes arguments
            if parser.called_from_command_line:
                parser.exit(2, f"{parser.prog}: error: {text}\n")
            report_error(text)

        parser.error = error  # type: ignore[method-assign]  # one line, without the usage
        return parser

    def epilog(self) -> str:
        """Return the text below the options of the help: examples and exit codes."""
        lines = ["Examples:" if len(self.examples) > 1 else "Example:"]
        lines += [f"  manage.py {example}" for example in self.examples]
        lines += ["", "Exit codes:", *(f"  {code:<4}{text}" for code, text in self.exit_codes.items())]
        return "\n".join(lines)

    def __setattr__(self, name: str, value: Any) -> None:
        is_output = name in ("stdout", "stderr") and not isinstance(value, SafeOutput)
        super().__setattr__(name, SafeOutput(value) if is_output else value)

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            with signals_as_interrupt(), self._checked_output():
                return super().execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {self.interrupted_message}", returncode=self.interrupted_code) from None
        except ClosedPipe:
            return None
        except OutputError as error:
            raise CommandError(str(error)) from None
        except (OperationalError, ProgrammingError) as error:
            with suppress(DatabaseError):
                if not is_migrated():
                    raise CommandError(NOT_MIGRATED) from None
            if isinstance(error, ProgrammingError):
                raise
            reason = str(error).partition("\n")[0]
            raise CommandError(f"The database failed ({reason}).") from None

    @contextmanager
    def _checked_output(self) -> Iterator[None]:
        """Flush the output at the end of the block; report an output that could not be written."""
        try:
            yield
        finally:
            self.stdout.flush()
            if self.stdout.failure is not None:
                self.report_lost_output(output_error(self.stdout.failure))

    def report_lost_output(self, error: OutputError) -> None:
        """Report that messages of the command could not be written, although the command has done its work."""
        raise error
