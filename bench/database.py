"""Creates an empty database for measurements, and removes it at the end."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.db import connection
from psycopg import sql

from tests.support.postgres import find_binaries, temporary_server

# The options of the temporary server. fsync and synchronous_commit stay on, as in production.
OPTIONS = ["-c", "shared_buffers=256MB", "-c", "max_connections=200"]


class NoDatabase(Exception):
    pass


@contextmanager
def scratch_database(*, sqlite: bool) -> Iterator[str]:
    """
    Yield the DATABASE_URL of an empty database.

    On PostgreSQL, it is a new database on the server of DATABASE_URL, or else on a temporary server. Raise
    ``NoDatabase`` without either.
    """
    given = os.environ.get("DATABASE_URL", "")
    if sqlite:
        with tempfile.TemporaryDirectory(prefix="school-bench-") as folder:
            yield f"sqlite:///{folder}/school.sqlite3"
    elif given.startswith(("postgres://", "postgresql://")):
        with _database_beside(given, f"school_bench_{os.getpid()}") as url:
            yield url
    else:
        binaries = find_binaries()
        if binaries is None:
            raise NoDatabase("There is no PostgreSQL: apt-get install postgresql, set DATABASE_URL, or use --sqlite.")
        with temporary_server(binaries, OPTIONS) as url:
            yield url


@contextmanager
def second_database(url: str) -> Iterator[str]:
    """Yield the DATABASE_URL of another empty database, for PostgreSQL on the server of ``url``."""
    if url.startswith("sqlite"):
        with scratch_database(sqlite=True) as other:
            yield other
    else:
        with _database_beside(url, f"{urlsplit(url).path[1:]}_second") as other:
            yield other


@contextmanager
def _database_beside(url: str, name: str) -> Iterator[str]:
    """Create a separate database on the server of ``url``; drop it at the end."""
    try:
        maintenance = psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError as error:
        raise NoDatabase(f"DATABASE_URL does not answer: {error}") from None
    with maintenance:
        maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def analyze() -> str:
    """Update the statistics, as autovacuum does after a large load; return the statement."""
    statement = "VACUUM (ANALYZE)" if connection.vendor == "postgresql" else "ANALYZE"
    with connection.cursor() as cursor:
        cursor.execute(statement)
    return statement


def describe() -> str:
    """Return the database engine with its version, and the settings that affect the measurement."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sqlite_version()")
            [version] = cursor.fetchone()
            cursor.execute("PRAGMA journal_mode")
            return f"SQLite {version}, journal_mode {cursor.fetchone()[0]}"
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        settings = []
        for name in names:
            cursor.execute("SELECT current_setting(%s)", [name])
            settings.append(cursor.fetchone()[0])
    return f"PostgreSQL {settings[0]}, fsync {settings[1]}, synchronous_commit {settings[2]}, {settings[3]} of buffers"


def postmaster() -> int | None:
    """Return the process id of the PostgreSQL server; None if the server is on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [backend] = cursor.fetchone()
    try:
        status = Path(f"/proc/{backend}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["PPid"]) if fields["Name"] == "postgres" else None
