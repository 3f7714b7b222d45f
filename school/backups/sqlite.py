"""Snapshots of SQLite: a compact copy of the file, and a new file that gets its name when it is complete."""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from school.backups.archive import CHUNK_BYTES, BackupError
from school.commands.private_files import OutputError

FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")


@contextmanager
def snapshot(folder: Path | None) -> Iterator[Iterator[bytes]]:
    """Yield the content of a copy, in whose database queries in the block run. The copy is deleted at the end."""
    original: Any = connections[DEFAULT_DB_ALIAS]
    if not original.is_in_memory_db() and not Path(original.settings_dict["NAME"]).exists():
        raise BackupError(f"There is no database {original.settings_dict['NAME']}.")
    with _private_file(folder) as copy:
        try:
            with original.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [str(copy)])
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlite_errorname", "") in FULL:
                raise OutputError(f"Cannot copy the database to {copy.parent}: no space left on device.") from None
            raise
        with _connected_to(copy):
            yield _content(copy)


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def loading() -> Iterator[Callable[[IO[bytes]], None]]:
    """
    Yield a function that writes a database into a file beside the configured one, to which queries then go.

    The file gets the configured name at the end of the block. Raise ``BackupError`` if a database with tables has that
    name, or another process uses it.
    """
    name = connections[DEFAULT_DB_ALIAS].settings_dict["NAME"]
    target = Path(name)
    with _named_errors(name), _only_restore(target):
        _remove_empty_database(target)
        with _private_file(target.resolve().parent) as draft, _connected_to(draft):
            yield lambda data: _copy(data, draft)
            connections[DEFAULT_DB_ALIAS].close()
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            try:
                os.link(draft, target)  # fails if the file exists
            except FileExistsError:
                raise BackupError(f"The database {name} was created during the restore. Nothing was changed.") from None
    connections[DEFAULT_DB_ALIAS].close()


def _copy(data: IO[bytes], draft: Path) -> None:
    with draft.open("wb") as file:
        shutil.copyfileobj(data, file, CHUNK_BYTES)


@contextmanager
def _only_restore(target: Path) -> Iterator[None]:
    """Hold the lock that writers of this database take in turns: docs/decisions/0015."""
    lock = os.open(f"{target}-turn", os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("The database is in use, or another restore into it is running.") from None
        yield
    finally:
        os.close(lock)


def _remove_empty_database(target: Path) -> None:
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=1)) as direct:
            [tables] = direct.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
            if tables:
                raise BackupError(
                    f"The database is not empty: {target} has {tables} tables. Restore into a new database."
                )
            direct.execute("PRAGMA journal_mode=DELETE")  # fails if another process has opened the database
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_BUSY":
            raise BackupError("The database is in use. Stop all servers first.") from None
        raise BackupError(f"{target} exists and is not an empty database. Restore into a new one.") from None
    target.unlink()


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"Cannot write the database {name}: {error.strerror}.") from None


@contextmanager
def _private_file(folder: Path | None) -> Iterator[Path]:
    """Create an empty file that only its owner can read; delete it and its companions at the end."""
    try:
        handle, name = tempfile.mkstemp(prefix=".draft-", dir=folder)
    except OSError as error:
        raise OutputError(f"Cannot write into {folder or tempfile.gettempdir()}: {error.strerror}.") from None
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal", "-turn"):
            Path(name + suffix).unlink(missing_ok=True)


@contextmanager
def _connected_to(path: Path) -> Iterator[None]:
    """Let the queries of this thread go to another file."""
    original: Any = connections[DEFAULT_DB_ALIAS]
    copy = original.copy()
    copy.settings_dict["NAME"] = str(path)
    connections[DEFAULT_DB_ALIAS] = copy
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = original
        copy.close()
