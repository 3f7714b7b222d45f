"""
Base class for commands: their help, and their end on errors and interruptions.

A name, a cell or a file name may contain escape sequences, which a terminal executes, and characters that change the
text direction. Such characters are written as JSON escapes, so that JSON output keeps its meaning.
"""

import signal
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError

from school.commands.output import ClosedPipe, SafeOutput, escape_control_characters, output_error
from school.commands.private_files import OutputError
from school.db.database_failure import database_failure, is_operational, lacks_rights
from school.db.migration_check import NOT_MIGRATED, is_migrated


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
    does not answer, lacks migrations or refuses a right. A reader that closes the pipe is not an error.
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
    interrupted_message: str = "Nothing was changed."
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
        except DatabaseError as error:
            with suppress(DatabaseError):
                if not lacks_rights(error) and not is_migrated():
                    raise CommandError(NOT_MIGRATED) from None
            if not is_operational(error):
                raise
            raise CommandError(database_failure(error)) from None

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
