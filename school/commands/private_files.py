"""Opening files with personal data that commands write: only their owner can read them."""

import os
from typing import TextIO


def private_opener(path: str, flags: int) -> int:
    """An opener for ``open`` and ``io.FileIO`` that creates files with mode 0600. Raise ``OSError``."""
    return os.open(path, flags, 0o600)


def open_private(path: str, *, newline: str | None = None) -> TextIO:
    """Open a private UTF-8 text file for writing, and truncate it. Raise ``OSError``."""
    return open(
        path, "w", newline=newline, encoding="utf-8", opener=private_opener
    )  # Path has no opener; the caller closes it
