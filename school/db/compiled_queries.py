"""
Compiled queries: Django compiles a query once, and each run only supplies other values.

Compiling a query takes several milliseconds, running it a tenth of one. A query is built with a ``Parameter`` for each
value that a run supplies. On PostgreSQL it becomes a prepared statement, with one plan for all values; a connection
pooler must support prepared statements (PgBouncer does since 1.21, ``max_prepared_statements``), or
``PREPARED_STATEMENTS`` must be off. On SQLite the driver caches compiled statements by their text.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
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
Asked = tuple[str, Sequence[Any]]  # SQL with %s placeholders, and the values

ON_POSTGRESQL = connection.vendor == "postgresql"  # stored: the proxy looks up the connection at each access
LONG = 4_000  # characters of a list, about 500 ids: running a longer one costs much more than planning it
MAX_STATEMENTS = 500  # in a process; psycopg keeps the same number prepared in each connection


class Parameter(Value):
    """
    A named placeholder in a query; each run supplies its value.

    ``field`` converts the value as that model field would; without a field, the value is an id. Arrays are compared by
    the lookup ``among``.
    """

    def __init__(self, name: str, field: Any = None, *, is_array: bool = False) -> None:
        super().__init__(name, output_field=field)
        self.name, self.column, self.is_array = name, field, is_array

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def bound(self, value: Any) -> Any:
        """Return the value in the form that the database driver accepts."""
        if self.is_array:
            if not ON_POSTGRESQL:
                return json.dumps(list(value))
            values = list(value)
            return array_of(values) if not values or isinstance(values[0], int) else values
        if self.column is not None:
            value = self.column.get_db_prep_value(value, connection)
        return value


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its values in order: constants of the statement, and parameters that each run fills."""

    sql: str
    values: tuple[Any, ...]

    def filled(self, given: Mapping[str, Any]) -> Asked:
        """Return the SQL and the values of a run; ``given`` has the value of each parameter by name."""
        return self.sql, [each.bound(given[each.name]) if isinstance(each, Parameter) else each for each in self.values]

    def run(self, given: Mapping[str, Any], *, is_planned_anew: bool = False) -> list[Row]:
        """
        Run the statement with these parameter values, and return the rows.

        With ``is_planned_anew`` PostgreSQL plans the statement for its values instead of using a prepared plan. Needed
        for filters with lists whose selectivity varies: no single plan fits all of them.
        """
        sql, values = self.filled(given)
        return _run_by_django(sql, values) if is_planned_anew else run(sql, values)


def compiled(rows: QuerySet[Any, Any], lock: str = "") -> Statement:
    """
    Compile a queryset into a statement.

    Values other than parameters become literals in the SQL: only then can the database see which partial indexes apply.
    ``lock`` is a locking clause of PostgreSQL for which Django has no method.
    """
    return _statement(rows.query.get_compiler(rows.db), lock)


def _statement(compiler: Any, lock: str = "") -> Statement:
    sql, values = compiler.as_sql()
    pieces = sql.split("%s")
    written, left = [pieces[0]], []
    for value, piece in zip(values, pieces[1:], strict=True):
        literal = None if isinstance(value, Parameter) else _literal(value)
        if literal is None:
            left.append(value)
        written += ["%s" if literal is None else literal, piece]
    return Statement(f"{''.join(written)} {lock}".rstrip(), tuple(left))


def _literal(value: Any) -> str | None:
    """Return a value as an SQL literal, None if it must be bound instead."""
    if ON_POSTGRESQL:
        plain = str(value) if isinstance(value, str) else value
        return Literal(plain).as_string().replace("%", "%%")
    match value:
        case bool() | None:
            return None
        case int():
            return str(value)
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    return None


# The LIMITs for which statements are compiled: a plan for few rows does not suit many.
LIMITS = (11, 26, 51, 101, 201, 501)


def limit_above(size: int) -> int:
    """
    Return the smallest LIMIT above ``size``, which lets the caller see whether there are more rows than ``size``.

    ``size`` is at most 500; above that, ``StopIteration`` is raised.
    """
    return next(limit for limit in LIMITS if size < limit)


class StatementCache:
    """Compiled statements by the shape of their query. When full, it removes the least recently used one."""

    def __init__(self, most: int = MAX_STATEMENTS) -> None:
        self.most = most
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, shape: Hashable, build: Callable[[], T]) -> T:
        """Return the cached object for a shape; call ``build`` if there is none."""
        with self._lock:
            if shape in self._kept:
                self._kept.move_to_end(shape)
                found: T = self._kept[shape]
                return found
        made = build()
        with self._lock:
            self._kept[shape] = made
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return made

    def __len__(self) -> int:
        return len(self._kept)


def run(sql: str, values: Sequence[Any]) -> list[Row]:
    """Run a statement and return its rows, like ``run_together`` with one statement."""
    [rows] = run_together([(sql, values)])
    return rows


def run_together(asked: Sequence[Asked]) -> list[list[Row]]:
    """
    Run statements one after the other, each prepared at its first use in a connection; return the rows of each.

    On PostgreSQL they are sent together in a pipeline: each sees the data as of its own start, but its values cannot
    depend on the results of the others. Outside of a transaction they form one; if the connection turns out to be
    broken, they run once more on a new one.
    """
    if not asked:
        return []
    if not ON_POSTGRESQL:
        return [_run_by_django(*each) for each in asked]
    try:
        return _run_prepared(asked)
    except OperationalError:
        if connection.in_atomic_block or not connection.connection or not connection.connection.broken:
            raise
        connection.close()
        return _run_prepared(asked)


def _run_prepared(asked: Sequence[Asked]) -> list[list[Row]]:
    database: Any = connections[DEFAULT_DB_ALIAS]  # stored: the proxy looks it up at each access
    database.ensure_connection()
    driver = database.connection
    with database.wrap_database_errors:
        if database.queries_logged:
            return _run_logged(database, asked)
        if len(asked) == 1:
            [(sql, values)] = asked
            return [_rows(psycopg.Cursor(driver).execute(sql, _texts(values), prepare=_is_short(values)))]
        cursors = [psycopg.Cursor(driver) for _each in asked]
        with driver.pipeline():
            for cursor, (sql, values) in zip(cursors, asked, strict=True):
                cursor.execute(sql, _texts(values), prepare=_is_short(values))
        return [_rows(cursor) for cursor in cursors]


def _run_logged(database: Any, asked: Sequence[Asked]) -> list[list[Row]]:
    """Run statements one by one, and add each to Django's query log."""
    found = []
    for sql, values in asked:
        started = monotonic()
        try:
            cursor = psycopg.Cursor(database.connection)
            found.append(_rows(cursor.execute(sql, _texts(values), prepare=_is_short(values))))
        finally:
            told = psycopg.ClientCursor(database.connection).mogrify(sql, values)
            database.queries_log.append({"sql": told, "time": f"{monotonic() - started:.3f}"})
    return found


def _is_short(values: Sequence[Any]) -> bool:
    """
    Return True if a statement should be prepared: if it has no long list.

    A statement with a long list is planned for each run: a plan from when a table was small would scan it all when it
    is large.
    """
    return not any(isinstance(value, str | list) and len(value) > LONG for value in values)


def _texts(values: Sequence[Any]) -> list[Any]:
    """Return the values with numbers and dates as text: psycopg would prepare a statement for each integer size."""
    return [str(value) if isinstance(value, int | date) else value for value in values]


def _rows(cursor: psycopg.Cursor[Any]) -> list[Row]:
    return cursor.fetchall() if cursor.rownumber is not None else []  # ``description`` makes objects of all columns


def _run_by_django(sql: str, values: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


class Prepared(Generic[T]):
    """
    A query that is compiled at its first call: ``build`` makes the queryset from one parameter for each value.

    The values are ids, or lists of ids or texts. A call with values returns the rows that the queryset would return.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, T]], lock: str = "") -> None:
        self.build = build
        self.lock = lock if ON_POSTGRESQL else ""
        self.names: list[str] = []

    def __call__(self, *values: Any) -> list[T]:
        [found] = together((self, values))
        return found

    def statement_for(self, values: Sequence[Any]) -> Asked:
        """Return the compiled query with its values. A value that is a list in the first call must always be a list."""
        if not self.names:
            self._compile(values)
        return self.statement.filled(dict(zip(self.names, values, strict=True)))

    def _compile(self, values: Sequence[Any]) -> None:
        names = [f"value {place}" for place in range(len(values))]
        parameters = [
            Parameter(name, is_array=isinstance(value, list)) for name, value in zip(names, values, strict=True)
        ]
        self.rows: Any = self.build(*parameters)  # kept: the compiler refers to its query
        compiler = self.rows.query.get_compiler(self.rows.db)
        self.compiler = compiler
        self.statement = _statement(compiler, self.lock)
        self.converters = compiler.get_converters([each[0] for each in compiler.select[: compiler.col_count]])
        # Computed once; Django's iterables compute it for each query.
        self.makes = _models(compiler) if self.rows._iterable_class is ModelIterable else partial(map, tuple)
        self.names = names

    def read(self, found: list[Row]) -> list[T]:
        """Convert rows to the objects that the queryset would return: model instances or tuples."""
        return list(self.makes(self.compiler.apply_converters(found, self.converters) if self.converters else found))


def together(*questions: tuple[Prepared[Any], Sequence[Any]]) -> list[list[Any]]:
    """
    Run prepared queries with their values, in this order but sent together; return the rows of each.

    A query with an empty list as a value is not run and returns no rows.
    """
    answers = iter(run_together([query.statement_for(values) for query, values in questions if all(values)]))
    return [query.read(next(answers)) if all(values) else [] for query, values in questions]


def _models(compiler: Any) -> Callable[[Any], Any]:
    """Return a function that creates model instances from rows, with ``select_related`` objects and annotations."""
    info, select = compiler.klass_info, compiler.select
    model, first, end = info["model"], info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column.target.attname for column, *_rest in select[first:end]]
    read_along = get_related_populators(info, select, compiler.using)  # type: ignore[call-arg]  # as of Django 6.1
    annotated = list((compiler.annotation_col_map or {}).items())

    def made(rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
        for row in rows:
            instance = model.from_db(compiler.using, names, row[first:end])
            for each in read_along:
                each.populate(row, instance)
            for name, place in annotated:
                setattr(instance, name, row[place])
            yield instance

    return made


def array_of(ids: Iterable[int]) -> str:
    """Return the ids as a PostgreSQL array literal, which costs less to send than a list of numbers."""
    return f"{{{','.join(map(str, ids))}}}"
