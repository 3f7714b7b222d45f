"""
Queries that Django compiles once and PostgreSQL prepares once a connection, and that are then only run.

Prepared statements are psycopg's own; Django's cursors do not use them. All that are prepared here are simple enough
for one plan to fit every value, so PostgreSQL is told not to plan anew. A pooler between School and PostgreSQL must
know prepared statements (PgBouncer does since 1.21, ``max_prepared_statements``), or ``PREPARED_STATEMENTS`` be off.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections
from django.db.models import QuerySet
from psycopg.sql import Literal

T = TypeVar("T")

# Values that stand in a query for those that it is run with: no id is so large, and no setting.
SLOTS = range(2**50, 2**50 + 8)
# The same for lists of texts.
NAMES = [f"\0{slot}" for slot in SLOTS]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and which of the values of a run it takes, each as it is or as the text of an array."""

    sql: str
    takes: tuple[tuple[int, bool], ...]

    def run(self, *values: Any) -> list[tuple[Any, ...]]:
        return run(self.sql, self.filled(values))

    def filled(self, values: Sequence[Any]) -> list[Any]:
        """Return the values of a run as the SQL takes them."""
        return [array_of(values[place]) if is_array else values[place] for place, is_array in self.takes]


def compiled(compiler: Any) -> Statement:
    """
    Compile a queryset's query that has some of ``SLOTS`` for values, or lists of one slot.

    Its other values become part of the SQL: only so does PostgreSQL see which partial indexes will do.
    """
    sql, values = compiler.as_sql()
    pieces = sql.split("%s")
    written, takes = [pieces[0]], []
    for value, piece in zip(values, pieces[1:], strict=True):
        slot = _slot_in(value)
        if slot is not None:
            takes.append(slot)
        written += [_literal(value) if slot is None else "%s", piece]
    return Statement("".join(written), tuple(takes))


def run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """
    Run a statement, prepared from its first time on in each connection; return its rows.

    Outside of a transaction a connection that is found broken is made anew, once.
    """
    try:
        return _run(sql, values)
    except OperationalError:
        if connection.in_atomic_block or not connection.connection or not connection.connection.broken:
            raise
        connection.close()
        return _run(sql, values)


def _run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    if not settings.PREPARED_STATEMENTS:
        with connection.cursor() as asked:
            asked.execute(sql, values)
            return list(asked.fetchall())
    database: Any = connections[DEFAULT_DB_ALIAS]  # found once: the proxy looks for it at each attribute
    database.ensure_connection()
    raw: psycopg.Connection[Any] = database.connection
    with database.wrap_database_errors:
        if raw.prepare_threshold is None:
            raw.execute("SET plan_cache_mode = force_generic_plan")
            raw.prepare_threshold = 0
        with psycopg.Cursor(raw) as cursor:
            started = monotonic()
            try:
                return cursor.execute(sql, values).fetchall()
            finally:
                if database.queries_logged:
                    told = psycopg.ClientCursor(raw).mogrify(sql, values)
                    database.queries_log.append({"sql": told, "time": f"{monotonic() - started:.3f}"})


def compiler_of(rows: QuerySet[Any, Any]) -> Any:
    return rows.query.get_compiler(rows.db)


class Prepared(Generic[T]):
    """
    A query with values to come: ``build`` makes it of them, ids, lists of ids, or lists of texts.

    Called with values it returns the rows that the queryset would give. Where there is no PostgreSQL, the queryset
    gives them.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, T]]) -> None:
        self.build = build
        self.compiler: Any = None

    def __call__(self, *values: Any) -> list[T]:
        if any(not value for value in values):
            return []
        if connection.vendor != "postgresql":
            return list(self.build(*values))
        if self.compiler is None:
            self._compile([_stand_in(value, place) for place, value in enumerate(values)])
        answered = _Answered(self.compiler, self.statement.run(*values))
        query = SimpleNamespace(get_compiler=lambda using: answered)
        rows = SimpleNamespace(query=query, db=self.rows.db, model=self.rows.model, _known_related_objects={})
        return list(self.rows._iterable_class(rows))

    def _compile(self, slots: Sequence[Any]) -> None:
        self.rows: Any = self.build(*slots)
        compiler = compiler_of(self.rows)
        self.statement = compiled(compiler)
        self.compiler = compiler


class _Answered:
    """A compiler whose query has been run."""

    def __init__(self, compiler: Any, found: list[tuple[Any, ...]]) -> None:
        self.compiler, self.found = compiler, found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiler, name)

    def execute_sql(self, *args: Any, **options: Any) -> list[Any]:
        return [self.found]

    def results_iter(self, results: Any = None, **options: Any) -> Any:
        return self.compiler.results_iter([self.found], **options)


def _stand_in(value: Any, place: int) -> Any:
    if isinstance(value, list):
        return [NAMES[place] if isinstance(value[0], str) else SLOTS[place]]
    return SLOTS[place]


def _slot_in(value: Any) -> tuple[int, bool] | None:
    """Return the number of the slot that a value is, and whether it is the text of an array."""
    if isinstance(value, list) and value[0] in NAMES:
        return NAMES.index(value[0]), False
    is_array = isinstance(value, str) and value.startswith("{") and value[1:-1].isdecimal()
    number = int(value[1:-1]) if is_array else value
    return (SLOTS.index(number), is_array) if type(number) is int and number in SLOTS else None


def array_of(ids: Iterable[int]) -> str:
    """Return ids as PostgreSQL reads an array: text, which costs less to send than a list of numbers."""
    return f"{{{','.join(map(str, ids))}}}"


def _literal(value: Any) -> str:
    plain = str(value) if isinstance(value, str) else value
    return Literal(plain).as_string().replace("%", "%%")
