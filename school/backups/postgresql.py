"""Snapshots of PostgreSQL, by ``pg_dump`` and ``pg_restore``."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import IO, Any

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo

from school.backups.archive import CHUNK_BYTES, BackupError
from school.db.database_failure import NEEDS_TO_OWN
from school.db.read_snapshot import read_snapshot

LOCK_ID = 0x5C41  # the key of the advisory lock of a restore
SECRETS = {"password": "PGPASSWORD", "sslpassword": None}  # never in a command line, which others can read
GRACE = 3.0  # seconds for connections that are being closed
TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
)
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL"
)
# Errors of the server that need the administrator of the database, by the words in which the programs report them.
HINTS = {
    "server version mismatch": "Install the client programs of the server's version.",
    "permission denied": NEEDS_TO_OWN,
}


@contextmanager
def snapshot() -> Iterator[Iterator[bytes]]:
    """Yield the output of ``pg_dump`` for the snapshot that queries in the block see."""
    with read_snapshot():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_export_snapshot()")
            [name] = cursor.fetchone()
        with closing(_dump(name)) as chunks:
            yield chunks


def _dump(snapshot_name: str) -> Generator[bytes, None, None]:
    with _program("pg_dump", "--format=custom", f"--snapshot={snapshot_name}", stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def loading() -> Iterator[Callable[[IO[bytes]], None]]:
    """Yield a function that loads a dump in one transaction. The database must be empty, writable and not in use."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only')")
        if cursor.fetchone() != ("off",):
            raise BackupError("The database takes no writes: it is a standby, or read-only. Use the primary.")
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_ID])
        if cursor.fetchone() != (True,):
            raise BackupError("Another restore into this database is running.")
        try:
            _refuse_used_database(cursor)
            yield _load
        finally:
            if connection.connection and not connection.connection.closed:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_ID])


def _refuse_used_database(cursor: Any) -> None:
    cursor.execute(TABLES)
    [tables] = cursor.fetchone()
    if tables:
        raise BackupError(f"The database is not empty: it has {tables} tables. Restore into a new database.")
    deadline = time.monotonic() + GRACE
    while True:
        cursor.execute(OTHERS)
        [others] = cursor.fetchone()
        if not others:
            return
        if time.monotonic() > deadline:
            raise BackupError(f"The database is in use: it has {others} other connections. Stop all servers first.")
        time.sleep(0.1)


def _load(data: IO[bytes]) -> None:
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments")
    with _program("pg_restore", *options, stdin=subprocess.PIPE) as process:
        try:
            while chunk := data.read(CHUNK_BYTES):
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:  # the program has ended, and reports the reason
            pass


@contextmanager
def _program(name: str, *options: str, **pipes: Any) -> Iterator[Any]:
    """
    Run a client program of PostgreSQL. Raise ``BackupError`` with its first error if it fails.

    The program is killed if the block is left early; the server then rolls back.
    """
    database, environment = _connection_settings()
    target = "--dbname=" + database
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603  # a fixed program, with the settings of this database
                [name, *options, target], stderr=errors, env={**os.environ, **environment}, **pipes
            )
        except FileNotFoundError:
            raise BackupError(
                f"{name} is not installed. Install the client programs of PostgreSQL, on Debian postgresql-client."
            ) from None
        try:
            yield process
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    _close(pipe)
            failed = process.wait() != 0
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)
        if failed:
            errors.seek(0)
            raise BackupError(f"{name} failed: {_first_error(name, errors.read(CHUNK_BYTES).decode(errors='replace'))}")


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # what was buffered is lost, because the program has ended
        pipe.close()


def _connection_settings() -> tuple[str, Mapping[str, str]]:
    """Return the settings of the database for a program: a connection string, and variables for the secrets."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    params = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in known and name != "client_encoding" and value is not None
    }
    secrets = {variable: str(params[name]) for name, variable in SECRETS.items() if variable and name in params}
    return make_conninfo(**{name: value for name, value in params.items() if name not in SECRETS}), secrets


def _first_error(name: str, text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    prefix = f"{name}: error: "
    line = next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), lines[0] if lines else "")
    line = line or "it was killed"
    hint = next((hint for words, hint in HINTS.items() if words in line), "")
    return f"{line.removesuffix('.')}. {hint}".strip()
