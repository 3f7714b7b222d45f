"""
Statements that are compiled by Django once, prepared by PostgreSQL once a connection, and then only run.

Prepared statements are psycopg's own; Django's cursors do not use them. All that are prepared here are simple enough
for one plan to fit every value, so PostgreSQL is told not to plan anew. A pooler between School and PostgreSQL must
know prepared statements (PgBouncer does since 1.21, ``max_prepared_statements``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg
from django.db import connection
from django.db.models import QuerySet
from psycopg.sql import Literal

# Values that stand in a query for those that it is run with: no id is so large, and no setting.
SLOTS = range(2**50, 2**50 + 8)
# For how many rows statements are made: the plan for some is not the one for many.
LIMITS = (11, 26, 51, 101, 201, 501)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and the slots whose values it takes."""

    sql: str
    slots: tuple[int, ...]

    def filled(self, values: Mapping[int, Any]) -> list[Any]:
        """Return the values of a run, one for each slot."""
        return [values[slot] for slot in self.slots]


def compiled(rows: QuerySet[Any, Any]) -> Statement:
    """
    Compile a query that has some of ``SLOTS`` in the place of integers.

    Its other values become part of the SQL: only so does PostgreSQL see which partial indexes will do.
    """
    sql, values = rows.query.sql_with_params()
    pieces = sql.split("%s")
    written = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        written += ["%s" if value in SLOTS else _literal(value), piece]
    return Statement("".join(written), tuple(value for value in values if value in SLOTS))


def _literal(value: Any) -> str:
    plain = str(value) if isinstance(value, str) else value
    return Literal(plain).as_string().replace("%", "%%")


def run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement, prepared from its first time on in each connection; return its rows."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with connection.wrap_database_errors:
        if raw.prepare_threshold is None:
            raw.execute("SET plan_cache_mode = force_generic_plan")
            raw.prepare_threshold = 0
        with psycopg.Cursor(raw) as cursor:
            started = monotonic()
            rows = cursor.execute(sql, values).fetchall()
            if connection.queries_logged:
                told = psycopg.ClientCursor(raw).mogrify(sql, values)
                connection.queries_log.append({"sql": told, "time": f"{monotonic() - started:.3f}"})
            return rows
