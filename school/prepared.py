"""
Queries that Django compiles once and PostgreSQL prepares once a connection, and that are then only run.

How they are sent is in ``school.postgresql.wire``; Django's cursors use none. All that are prepared here are simple
enough for one plan to fit every value, so PostgreSQL is told not to plan anew. A pooler between School and PostgreSQL
must know prepared statements (PgBouncer does since 1.21, ``max_prepared_statements``), or ``PREPARED_STATEMENTS`` be
off.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Generic, TypeVar

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections
from django.db.models import QuerySet
from django.db.models.query import ModelIterable, get_related_populators
from psycopg.sql import Literal

from school.postgresql.wire import Asked, Row
from school.pressing import pressed

T = TypeVar("T")

ON_POSTGRESQL = connection.vendor == "postgresql"  # found once: a connection is looked for at each attribute

# Values that stand in a query for those that it is run with: no id is so large, and no setting.
SLOTS = range(2**50, 2**50 + 8)
# The same for lists of texts.
NAMES = [f"\0{slot}" for slot in SLOTS]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and which of the values of a run it takes, each as it is or as the text of an array."""

    sql: str
    takes: tuple[tuple[int, bool], ...]

    def run(self, *values: Any) -> list[Row]:
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


def run(sql: str, values: Sequence[Any]) -> list[Row]:
    """Run a statement; return its rows. What is said of ``run_together`` holds."""
    [rows] = run_together([(sql, values)])
    return rows


def run_together(asked: Sequence[Asked]) -> list[list[Row]]:
    """
    Run statements, prepared from their first time on in each connection, one after the other; return the rows of each.

    Each sees what is there when its turn comes, but they are sent at once, and what one of them answers comes too late
    for the next. Outside of a transaction they are one, and a connection that is found broken is made anew, once.
    """
    if not asked:
        return []
    try:
        return _run(asked)
    except OperationalError:
        if connection.in_atomic_block or not connection.connection or not connection.connection.broken:
            raise
        connection.close()
        return _run(asked)


def _run(asked: Sequence[Asked]) -> list[list[Row]]:
    if not settings.PREPARED_STATEMENTS:
        return [_run_unprepared(*each) for each in asked]
    database: Any = connections[DEFAULT_DB_ALIAS]  # found once: the proxy looks for it at each attribute
    database.ensure_connection()
    with database.wrap_database_errors:
        if not database.queries_logged:
            return list(database.connection.wire.ask(asked))
        started = monotonic()
        try:
            return list(database.connection.wire.ask(asked))
        finally:
            for sql, values in asked:
                told = psycopg.ClientCursor(database.connection).mogrify(sql, values)
                database.queries_log.append({"sql": told, "time": f"{monotonic() - started:.3f}"})


def _run_unprepared(sql: str, values: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


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
        [found] = together((self, values))
        return found

    def statement_for(self, values: Sequence[Any]) -> Statement:
        """Return the compiled query. Values of other types, and ids where there were texts, are for another one."""
        if self.compiler is None:
            self.rows: Any = self.build(*(_stand_in(value, place) for place, value in enumerate(values)))
            compiler = compiler_of(self.rows)
            self.statement = compiled(compiler)
            self.converters = compiler.get_converters([each[0] for each in compiler.select[: compiler.col_count]])
            # What Django's iterables find out for each query, found out once.
            self.makes = _models(compiler) if self.rows._iterable_class is ModelIterable else partial(map, tuple)
            self.compiler = compiler
        return self.statement

    def read(self, found: list[Row]) -> list[T]:
        """Return what the queryset makes of rows: model instances, or tuples."""
        return list(self.makes(self.compiler.apply_converters(found, self.converters) if self.converters else found))


def together(*questions: tuple[Prepared[Any], Sequence[Any]]) -> list[list[Any]]:
    """
    Ask for prepared queries with their values, in this order and at once; return the rows of each.

    Who asks for nothing, by an empty list, gets nothing.
    """
    if not ON_POSTGRESQL:
        return [list(query.build(*values)) if all(values) else [] for query, values in questions]
    asked = [(query, query.statement_for(values), values) for query, values in questions if all(values)]
    answers = iter(run_together([(statement.sql, statement.filled(values)) for _query, statement, values in asked]))
    return [query.read(next(answers)) if all(values) else [] for query, values in questions]


def _models(compiler: Any) -> Callable[[Any], Any]:
    """Return what makes model instances of rows, with what is read along and annotated."""
    info, select = compiler.klass_info, compiler.select
    first, end = info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column.target.attname for column, *_rest in select[first:end]]
    read_along = get_related_populators(info, select, compiler.using)  # type: ignore[call-arg]  # as of Django 6.1
    annotated = list((compiler.annotation_col_map or {}).items())

    def made(rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
        rows = list(rows)
        for row, instance in zip(rows, pressed(info["model"], names, [row[first:end] for row in rows]), strict=True):
            for each in read_along:
                each.populate(row, instance)
            for name, place in annotated:
                setattr(instance, name, row[place])
            yield instance

    return made


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
