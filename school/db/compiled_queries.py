"""
Compiled queries: Django compiles a query once, and each run only supplies other values.

Compiling a query takes several milliseconds, running it a tenth of one. A query is built with a ``QueryParameter`` for
each value that a run supplies. On PostgreSQL it becomes a prepared statement, with one plan for all values; a
connection pooler must support prepared statements (PgBouncer does since 1.21, ``max_prepared_statements``), or
``PREPARED_STATEMENTS`` must be off. On SQLite the driver caches compiled statements by their text.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections
from django.db.models import QuerySet, Value
from django.db.models.query import ModelIterable, get_related_populators
from psycopg.sql import Literal

T = TypeVar("T")
Row = tuple[Any, ...]
BoundStatement = tuple[str, Sequence[Any]]  # SQL with %s placeholders, and the values for them

# Stored in a variable, because the proxy looks up the connection at each access.
ON_POSTGRESQL = connection.vendor == "postgresql"
# The length of a list in characters, for about 500 ids; for a longer list, planning the statement costs little in
# comparison.
MAX_PREPARED_LIST = 4_000
SENT_AS_TEXT, WITH_LENGTH = (int, date), (str, list)  # a union would be created anew for each value
MAX_STATEMENTS = 500  # the number of statements in a process; psycopg keeps the same number prepared in each connection


class QueryParameter(Value):
    """
    A named placeholder in a query; each run supplies its value.

    ``field`` converts the value as that model field would; without a field, the value is an id. Arrays are compared by
    the lookup ``any_of``.
    """

    def __init__(self, name: str, field: Any = None, *, is_array: bool = False) -> None:
        super().__init__(name, output_field=field)
        self.name, self.column, self.is_array = name, field, is_array

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def to_driver_value(self, value: Any) -> Any:
        """Return the value in the form that the database driver accepts."""
        if self.is_array:
            if not ON_POSTGRESQL:
                return json.dumps(list(value))
            values = list(value)
            return array_literal(values) if not values or isinstance(values[0], int) else values
        if self.column is not None:
            value = self.column.get_db_prep_value(value, connection)
        return value


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its values in order: constants of the statement, and parameters that each run fills."""

    sql: str
    values: tuple[Any, ...]

    def bind(self, parameters: Mapping[str, Any]) -> BoundStatement:
        """Return the SQL and the values of a run; ``parameters`` has the value of each parameter by name."""
        return self.sql, [
            each.to_driver_value(parameters[each.name]) if isinstance(each, QueryParameter) else each
            for each in self.values
        ]

    def run(self, parameters: Mapping[str, Any], *, plan_each_run: bool = False) -> list[Row]:
        """
        Run the statement with these parameter values, and return the rows.

        With ``plan_each_run`` PostgreSQL plans the statement for its values instead of using a prepared plan. Filters
        by lists need this: a list may match few or many rows, and no single plan is good for both.
        """
        sql, values = self.bind(parameters)
        return _run_by_django(sql, values) if plan_each_run else run_statement(sql, values)


def compile_statement(rows: QuerySet[Any, Any], lock: str = "") -> Statement:
    """
    Compile a queryset into a statement.

    Values other than parameters become literals in the SQL: only then can the database see which partial indexes apply.
    ``lock`` is a locking clause of PostgreSQL for which Django has no method.
    """
    return _compile(rows.query.get_compiler(rows.db), lock)


def _compile(compiler: Any, lock: str = "") -> Statement:
    sql, values = compiler.as_sql()
    pieces = sql.split("%s")
    sql_parts, parameters = [pieces[0]], []
    for value, piece in zip(values, pieces[1:], strict=True):
        literal = None if isinstance(value, QueryParameter) else _sql_literal(value)
        if literal is None:
            parameters.append(value)
        sql_parts += ["%s" if literal is None else literal, piece]
    return Statement(f"{''.join(sql_parts)} {lock}".rstrip(), tuple(parameters))


def _sql_literal(value: Any) -> str | None:
    """Return a value as an SQL literal, None if it must be bound instead."""
    if ON_POSTGRESQL:
        plain_text = str(value) if isinstance(value, str) else value
        return Literal(plain_text).as_string().replace("%", "%%")
    match value:
        case bool() | None:
            return None
        case int():
            return str(value)
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    return None


# The LIMITs for which statements are compiled: a plan for few rows does not suit many.
PAGE_LIMITS = (11, 26, 51, 101, 201, 501)


def limit_above(size: int) -> int:
    """
    Return the smallest LIMIT above ``size``, which lets the caller see whether there are more rows than ``size``.

    ``size`` is at most 500; above that, ``StopIteration`` is raised.
    """
    return next(limit for limit in PAGE_LIMITS if size < limit)


class StatementCache:
    """Compiled statements by the shape of their query. When full, it removes the least recently used one."""

    def __init__(self, max_size: int = MAX_STATEMENTS) -> None:
        self.max_size = max_size
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, shape: Hashable, build: Callable[[], T]) -> T:
        """Return the cached object for a shape; call ``build`` if there is none."""
        with self._lock:
            if shape in self._entries:
                self._entries.move_to_end(shape)
                value: T = self._entries[shape]
                return value
        value = build()
        with self._lock:
            self._entries[shape] = value
            while len(self._entries) > self.max_size:
                self._entries.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._entries)


def run_statement(sql: str, values: Sequence[Any]) -> list[Row]:
    """Run a statement and return its rows, like ``run_statements`` with one statement."""
    [rows] = run_statements([(sql, values)])
    return rows


def run_statements(statements: Sequence[BoundStatement]) -> list[list[Row]]:
    """
    Run statements one after the other, each prepared at its first use in a connection; return the rows of each.

    On PostgreSQL they are sent together in a pipeline: each sees the data as of its own start, but its values cannot
    depend on the results of the others. Outside of a transaction they form one; if the connection turns out to be
    broken, they run once more on a new one.
    """
    if not statements:
        return []
    if not ON_POSTGRESQL:
        return [_run_by_django(*each) for each in statements]
    try:
        return _run_in_pipeline(statements)
    except OperationalError:
        if connection.in_atomic_block or not connection.connection or not connection.connection.broken:
            raise
        connection.close()
        return _run_in_pipeline(statements)


def _run_in_pipeline(statements: Sequence[BoundStatement]) -> list[list[Row]]:
    # Stored in a variable, because the proxy looks up the connection at each access.
    database: Any = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    driver = database.connection
    with database.wrap_database_errors:
        if database.queries_logged:
            return _run_logged(database, statements)
        cursors: list[psycopg.Cursor[Any]] = driver.idle_cursors
        while len(cursors) < len(statements):
            cursors.append(psycopg.Cursor(driver))
        cursors = cursors[: len(statements)]
        with driver.pipeline() if len(statements) > 1 else nullcontext():
            for cursor, (sql, values) in zip(cursors, statements, strict=True):
                _execute(cursor, sql, values)
        return [_fetch_rows(cursor) for cursor in cursors]


def _run_logged(database: Any, statements: Sequence[BoundStatement]) -> list[list[Row]]:
    """Run statements one by one, and add each to Django's query log."""
    results = []
    for sql, values in statements:
        started = monotonic()
        try:
            cursor = psycopg.Cursor(database.connection)
            results.append(_fetch_rows(_execute(cursor, sql, values)))
        finally:
            sql_text = psycopg.ClientCursor(database.connection).mogrify(sql, values)
            database.queries_log.append({"sql": sql_text, "time": f"{monotonic() - started:.3f}"})
    return results


def _execute(cursor: psycopg.Cursor[Any], sql: str, values: Sequence[Any]) -> psycopg.Cursor[Any]:
    """
    Execute a statement, prepared unless it has a long list.

    A statement with a long list is planned for each run: a plan from when a table was small would scan it all when it
    is large. Numbers and dates are sent as text: psycopg would prepare a statement for each integer size.
    """
    texts, prepare = [], True
    for value in values:
        if isinstance(value, SENT_AS_TEXT):
            value = str(value)
        elif isinstance(value, WITH_LENGTH) and len(value) > MAX_PREPARED_LIST:
            prepare = False
        texts.append(value)
    return cursor.execute(sql, texts, prepare=prepare)


def _fetch_rows(cursor: psycopg.Cursor[Any]) -> list[Row]:
    # Reading ``description`` creates an object for each column.
    return cursor.fetchall() if cursor.rownumber is not None else []


def _run_by_django(sql: str, values: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


class PreparedQuery(Generic[T]):
    """
    A query that is compiled at its first call: ``build`` makes the queryset from one parameter for each value.

    The values are ids, or lists of ids or texts. A call with values returns the rows that the queryset would return.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, T]], lock: str = "") -> None:
        self.build = build
        self.lock = lock if ON_POSTGRESQL else ""
        self.names: list[str] = []
        self.is_compiled = False

    def __call__(self, *values: Any) -> list[T]:
        [rows] = run_pipeline((self, values))
        return rows

    def bind_values(self, values: Sequence[Any]) -> BoundStatement:
        """Return the compiled query with its values. A value that is a list in the first call must always be a list."""
        if not self.is_compiled:
            self._compile(values)
        return self.statement.bind(dict(zip(self.names, values, strict=True)))

    def _compile(self, values: Sequence[Any]) -> None:
        names = [f"value {place}" for place in range(len(values))]
        parameters = [
            QueryParameter(name, is_array=isinstance(value, list)) for name, value in zip(names, values, strict=True)
        ]
        self.rows: Any = self.build(*parameters)  # stored, because the compiler refers to its query
        compiler = self.rows.query.get_compiler(self.rows.db)
        self.compiler = compiler
        self.statement = _compile(compiler, self.lock)
        self.converters = compiler.get_converters([each[0] for each in compiler.select[: compiler.col_count]])
        # Computed once; Django's iterables compute it for each query.
        self.make_objects = (
            _instance_maker(compiler) if self.rows._iterable_class is ModelIterable else partial(map, tuple)
        )
        self.names, self.is_compiled = names, True

    def to_objects(self, rows: list[Row]) -> list[T]:
        """Convert rows to the objects that the queryset would return: model instances or tuples."""
        return list(
            self.make_objects(self.compiler.apply_converters(rows, self.converters) if self.converters else rows)
        )


def run_pipeline(*queries: tuple[PreparedQuery[Any], Sequence[Any]]) -> list[list[Any]]:
    """
    Run prepared queries with their values, in this order but sent together; return the rows of each.

    A query with an empty list as a value is not run and returns no rows.
    """
    results = iter(run_statements([query.bind_values(values) for query, values in queries if all(values)]))
    return [query.to_objects(next(results)) if all(values) else [] for query, values in queries]


def _instance_maker(compiler: Any) -> Callable[[Any], Any]:
    """Return a function that creates model instances from rows, with ``select_related`` objects and annotations."""
    info, select = compiler.klass_info, compiler.select
    model, first, end = info["model"], info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column.target.attname for column, *_rest in select[first:end]]
    populators = get_related_populators(info, select, compiler.using)  # type: ignore[call-arg]  # as of Django 6.1
    annotations = list((compiler.annotation_col_map or {}).items())

    def make_instances(rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
        for row in rows:
            instance = model.from_db(compiler.using, names, row[first:end])
            for each in populators:
                each.populate(row, instance)
            for name, place in annotations:
                setattr(instance, name, row[place])
            yield instance

    return make_instances


def array_literal(ids: Iterable[int]) -> str:
    """Return the ids as a PostgreSQL array literal, which costs less to send than a list of numbers."""
    return f"{{{','.join(map(str, ids))}}}"
