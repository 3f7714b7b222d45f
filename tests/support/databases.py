"""
Migrated databases for tests, as copies of a template.

Applying all migrations takes seconds, and a copy takes milliseconds. Each run makes its template once; runs of one
tree share it in the folder TEST_TEMPLATES.
"""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connection, transaction
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("TEST_TEMPLATES") or os.environ["TEST_FOLDER"])
SQLITE_TEMPLATE = FOLDER / "template.sqlite3"
POSTGRESQL_TEMPLATE = FOLDER.name.replace("-", "_")

# Their triggers refuse DELETE.
APPEND_ONLY = ("students_enrollmentevent", "school_personaldataaccess")


def migrate(environment: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)


def sqlite_template() -> Path:
    """Return a migrated SQLite file. The first worker that needs it makes it, and the others wait."""
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not SQLITE_TEMPLATE.exists():
            made = SQLITE_TEMPLATE.with_suffix(".made")
            migrate({**os.environ, "DATABASE_URL": f"sqlite:///{made}"})
            made.rename(SQLITE_TEMPLATE)
    return SQLITE_TEMPLATE


def copy_sqlite(environment: Mapping[str, str]) -> None:
    """Create the SQLite database of an environment: a migrated file that only its owner can read."""
    path = Path(environment["DATABASE_URL"].removeprefix("sqlite:///"))
    shutil.copy(sqlite_template(), path)
    path.chmod(0o600)


def load_sqlite_template(sender: Any, connection: Any, **_options: Any) -> None:
    """Fill a new SQLite database in memory, when the first connection to it is made."""
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        [tables] = connection.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            with closing(sqlite3.connect(sqlite_template())) as template:
                template.backup(connection.connection)


def postgresql_template() -> str:
    """Return the name of a migrated database on the server of the tests. The first worker that needs it makes it."""
    with (FOLDER / "lock").open("w") as lock, psycopg.connect(_url_of("postgres"), autocommit=True) as direct:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = direct.execute("SELECT 1 FROM pg_database WHERE datname = %s", [POSTGRESQL_TEMPLATE]).fetchone()
        if not known:
            direct.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(POSTGRESQL_TEMPLATE)))
            migrate({**os.environ, "DATABASE_URL": _url_of(POSTGRESQL_TEMPLATE), "POOLER": ""})
    return POSTGRESQL_TEMPLATE


def _url_of(database: str) -> str:
    """Return the address of a database on the server of the tests, past a pooler."""
    server = os.environ.get("TEST_DIRECT_DATABASE_URL") or os.environ["DATABASE_URL"]
    return urlsplit(server)._replace(path=f"/{database}").geturl()


def drop_postgresql_template() -> None:
    """Drop the template of this run at its end; a shared one stays."""
    if "TEST_TEMPLATES" in os.environ:
        return
    with psycopg.connect(_url_of("postgres"), autocommit=True) as direct:
        direct.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(POSTGRESQL_TEMPLATE)))


@cache
def rows_of_migrations() -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the tables that migrations fill: content types, permissions and groups."""
    return {table: _rows(table) for table in _tables_with_rows()}


def empty_tables() -> None:
    """Return the database to its state after the migrations. Only tables with other rows are written."""
    while changed := _changed_tables():  # again, because triggers note the deletions in a table
        _restore(changed)


def _changed_tables() -> set[str]:
    known = rows_of_migrations()
    changed = set(_tables_with_rows()) - set(known)
    return changed | set(known) if any(_rows(table) != rows for table, rows in known.items()) else changed


def _restore(changed: set[str]) -> None:
    known = rows_of_migrations()
    with transaction.atomic(), connection.cursor() as cursor:
        for table in sorted(changed, key=lambda table: table not in APPEND_ONLY):
            _delete_all(cursor, table)
        if connection.vendor == "sqlite":  # the next ids follow those of the migrations
            cursor.executemany("DELETE FROM sqlite_sequence WHERE name = %s", [(table,) for table in changed])
        for table in changed & set(known):
            marks = ", ".join(["%s"] * len(known[table][0]))
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", known[table])


@cache
def _query_of_tables_with_rows() -> str:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)


def _tables_with_rows() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_query_of_tables_with_rows())
        return [table for (table,) in cursor.fetchall()]


def _rows(table: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
        return cursor.fetchall()


def _delete_all(cursor: Any, table: str) -> None:
    if table not in APPEND_ONLY:
        cursor.execute(f"DELETE FROM {table}")
    elif connection.vendor == "postgresql":
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER; DELETE FROM {table}")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    else:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        triggers = cursor.fetchall()
        for statement in (
            *(f"DROP TRIGGER {name}" for name, _sql in triggers),
            f"DELETE FROM {table}",
            *(statement for _name, statement in triggers),
        ):
            cursor.execute(statement)
