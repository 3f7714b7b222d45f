"""Files with personal data that commands write: only their owner can read them, and they are complete or not there."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast


class OutputError(Exception):
    """An output cannot be written. The message names it and the reason."""


@contextmanager
def private_output(name: str) -> Iterator[TextIO]:
    """
    Open a UTF-8 text file for writing, which only its owner can read.

    The file is created or replaced when the block ends without an error; until then, an earlier file stays as it is.
    A device or a pipe is written to directly. Raise ``OutputError`` if the file cannot be written.
    """
    with (
        private_binary_output(name) as binary,
        io.TextIOWrapper(binary, newline="", encoding="utf-8") as stream,
    ):
        yield stream


@contextmanager
def private_binary_output(name: str, *, durable: bool = False) -> Iterator[BinaryIO]:
    """
    Open a file of bytes for writing, as ``private_output`` does for text.

    A durable file is on the disk before it gets its name, so that it is complete after a power failure, too.
    """
    target = Path(name).resolve()  # a symbolic link stays a link
    with _named_errors(name):
        draft = None if target.exists() and not target.is_file() else _draft_for(target)
        raw = _OutputFile(name, draft or target)
    try:
        with io.BufferedWriter(raw) as stream:
            yield cast(BinaryIO, stream)
            if not stream.closed:  # a text wrapper has closed it
                stream.flush()
                if durable and draft is not None:
                    with _named_errors(name):
                        os.fsync(raw.fileno())
        if draft is not None:
            with _named_errors(name):
                draft.replace(target)
                if durable:
                    _sync_folder(target.parent)
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
