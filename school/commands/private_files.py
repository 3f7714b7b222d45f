"""Opens files for personal data that commands write, so that only the owner of a file can read it."""

import os
from typing import TextIO


def private_opener(path: str, flags: int) -> int:
    """
    Open a file for ``open`` or ``io.FileIO``, and create it with mode 0600 if it does not exist; raise ``OSError``.
    """
    return os.open(path, flags, 0o600)


def open_private(path: str, *, newline: str | None = None) -> TextIO:
    """Open a private UTF-8 text file for writing, and truncate it. Raise ``OSError``."""
    return open(
        path, "w", newline=newline, encoding="utf-8", opener=private_opener
    )  # ``Path.open`` takes no opener; the caller closes the file
