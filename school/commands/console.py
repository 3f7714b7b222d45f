"""
Base class for commands whose output is safe on a terminal.

A name, a cell or a file name may contain escape sequences, which a terminal executes, and characters that change the
text direction. Such characters are written as JSON escapes, so that JSON output keeps its meaning.
"""

import re
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import DatabaseError, OperationalError, ProgrammingError

from school.db.migration_check import NOT_MIGRATED, is_migrated

# Control characters except line breaks and tabs, line separators, text direction marks, unpaired surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)


def escape_control_characters(text: str) -> str:
    """Return the text with characters that control a terminal replaced by visible escapes: \\u001b for ESC."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class SafeOutput:
    """Escapes the output of a command. ``data`` does not escape if the output is not a terminal."""

    def __init__(self, output: OutputWrapper) -> None:
        super().__setattr__("output", output)

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:
        self.output.write(escape_control_characters(msg), style_func, ending)

    @property
    def data(self) -> Any:
        return self if self.output.isatty() else self.output

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.output, name, value)


class SafeCommand(BaseCommand):
    """
    A command that never writes control characters to a terminal, not even in error messages.

    If the database does not answer or lacks migrations, the command ends with an error message of one line.
    """

    stdout: Any
    stderr: Any

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        report_error = parser.error
        parser.error = lambda message: report_error(escape_control_characters(message))  # type: ignore[method-assign]  # quotes arguments
        return parser

    def __setattr__(self, name: str, value: Any) -> None:
        is_output = name in ("stdout", "stderr") and not isinstance(value, SafeOutput)
        super().__setattr__(name, SafeOutput(value) if is_output else value)

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except (OperationalError, ProgrammingError) as error:
            with suppress(DatabaseError):
                if not is_migrated():
                    raise CommandError(NOT_MIGRATED) from None
            if isinstance(error, ProgrammingError):
                raise
            reason = str(error).partition("\n")[0]
            raise CommandError(f"The database failed ({reason}).") from None
