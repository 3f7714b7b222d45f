"""Files with personal data that commands write: only their owner can read them, and they are complete or not there."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class OutputError(Exception):
    """An output cannot be written. The message names it and the reason."""


@contextmanager
def private_output(name: str) -> Iterator[TextIO]:
    """
    Open a UTF-8 text file for writing, which only its owner can read.

    The file is created or replaced when the block ends without an error; until then, an earlier file stays as it is.
    A device or a pipe is written to directly. Raise ``OutputError`` if the file cannot be written.
    """
    target = Path(name).resolve()  # a symbolic link stays a link
    with _named_errors(name):
        draft = None if target.exists() and not target.is_file() else _draft_for(target)
        raw = _OutputFile(name, draft or target)
    try:
        with io.TextIOWrapper(io.BufferedWriter(raw), newline="", encoding="utf-8") as stream:
            yield stream
        if draft is not None:
            with _named_errors(name):
                draft.replace(target)
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _draft_for(target: Path) -> Path | None:
    """Create an empty file beside the target. Return None if only the existing target can be written to."""
    try:
        handle, draft = tempfile.mkstemp(prefix=".draft-", dir=target.parent)
    except PermissionError:
        if target.exists():
            return None
        raise
    os.close(handle)
    return Path(draft)


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"Cannot write {name}: {error.strerror}.") from None


class _OutputFile(io.FileIO):
    """A file whose errors have the name that the user gave; the ``OSError`` of a full disk has no name."""

    def __init__(self, shown_name: str, path: Path) -> None:
        self.shown_name = shown_name
        super().__init__(path, "w")

    def write(self, data: Any, /) -> int:
        with _named_errors(self.shown_name):
            return super().write(data)

    def close(self) -> None:
        with _named_errors(self.shown_name):
            super().close()
