"""Databases besides the one of the tests, for what reads or writes whole databases."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg import sql

from tests.support.databases import postgresql_template, sqlite_template

_numbers = itertools.count()


class SeparateDatabases:
    """Creates databases of the kind that the tests run on, and lets a thread work on one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.created: list[str] = []

    def empty(self) -> str:
        """Return the name of an empty database. On SQLite the file does not exist yet."""
        if connection.vendor == "sqlite":
            return str(self.folder / f"{next(_numbers)}.sqlite3")
        return self._create("template0")

    def migrated(self) -> str:
        """Return the name of a database with all migrations and no other rows."""
        if connection.vendor == "sqlite":
            name = self.empty()
            shutil.copy(sqlite_template(), name)
            return name
        return self._create(postgresql_template())

    @contextmanager
    def use(self, name: str, **settings: Any) -> Iterator[None]:
        """Let the queries of this thread go to a database, as a user with other settings perhaps."""
        original: Any = connections[DEFAULT_DB_ALIAS]
        copy = original.copy()
        copy.settings_dict.update({"NAME": name, **settings})
        connections[DEFAULT_DB_ALIAS] = copy
        try:
            yield
        finally:
            connections[DEFAULT_DB_ALIAS] = original
            copy.close()

    def url(self, name: str) -> str:
        if connection.vendor == "sqlite":
            return f"sqlite:///{name}"
        server = connection.settings_dict
        return f"postgres://{server['USER']}@{server['HOST']}:{server['PORT']}/{name}"

    def drop(self) -> None:
        with _maintenance() as direct:
            for name in self.created:
                direct.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, template: str) -> str:
        name = f"{connection.settings_dict['NAME']}_{next(_numbers)}"
        with _maintenance() as direct:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            direct.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        self.created.append(name)
        return name


def _maintenance() -> psycopg.Connection[Any]:
    params = {**connection.get_connection_params(), "dbname": "postgres"}
    params = {name: params[name] for name in ("dbname", "host", "port", "user", "password") if params.get(name)}
    return psycopg.connect(**params, autocommit=True)
