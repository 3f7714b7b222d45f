"""Chooses how the configured database makes and loads a snapshot."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from django.db import connection

from school.backups import postgresql, sqlite


def snapshot(folder: Path | None) -> AbstractContextManager[Iterator[bytes]]:
    """
    Yield the data of the database as it is at one moment, while others go on writing.

    In the block, queries see the same moment. SQLite makes its copy in ``folder``; None means the system's folder for
    temporary files.
    """
    return sqlite.snapshot(folder) if connection.vendor == "sqlite" else postgresql.snapshot()


def loading() -> AbstractContextManager[Callable[[IO[bytes]], None]]:
    """
    Yield a function that loads data into the database. The data is there completely, or not at all.

    In the block after the load, queries and migrations see the loaded data; nobody else can load at the same time.
    Raise ``BackupError`` if the database is not empty, is in use, or takes no writes.
    """
    return sqlite.loading() if connection.vendor == "sqlite" else postgresql.loading()
