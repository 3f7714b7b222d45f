"""
Enrollments as they were at an earlier instant, by the journal.

A query of current enrollments becomes one of that instant by a WITH clause: it defines a table with the name of the
table of enrollments, from which the query then reads. In an inner query that table is the real one. The clause takes
back every journal entry from the first one after the instant on. Names, numbers and codes are the current ones, so an
erased name stays erased.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from django.db import connection
from django.db.models import DateTimeField, F, Func, IntegerField, QuerySet
from django.utils.translation import gettext as _

from school.db.compiled_queries import ON_POSTGRESQL, QueryParameter, Statement, compile_statement
from school.refusals import Refusal, Refused
from students.events.journal import TRACKED_FIELDS
from students.models import Action, EnrollmentEvent, StudentCourse

AS_OF, COURSE = "as_of", "course"  # the parameters of the clause

# The fields that get their value when the enrollment begins, and keep it.
FINAL_FIELDS = ("waitlisted_at",)

_INSTANT = QueryParameter(AS_OF, DateTimeField())

T = TypeVar("T")

# ``c`` is the current enrollment, and ``e`` an entry about it. An import may write an entry with an earlier time than
# that of the entry before it, so the entries are in the order of their ids. There are only subqueries and no join, so
# that a page reads few more enrollments than it shows. ``e.id + 0`` is no column of an index: with statistics from
# before the rows, PostgreSQL would read the journal in the order of ids to find the first entry about an enrollment.
_PAST = "SELECT {columns} FROM {current} c WHERE {condition}"
# The positions on waitlists by the ids of enrollments, as one JSON object. So each waitlist is read once, and a row
# looks its position up: a count of the enrollments before it would read the waitlist for every row.
_POSITIONS = (
    "SELECT {collect}(w.id, w.position) FROM (SELECT c.id, ROW_NUMBER() OVER"
    " (PARTITION BY c.course_id ORDER BY c.waitlisted_at, c.id) AS position FROM {current} c"
    " WHERE {condition} AND c.waitlisted_at IS NOT NULL AND c.created_at <= %s AND {status} = 'waitlisted') w"
)
_FIRST_UNDONE = "(SELECT MIN(e.id + 0) FROM {events} e WHERE e.enrollment_id = c.id AND e.at > %s)"
_STATUS = (
    "COALESCE((SELECT e.from_status FROM {events} e WHERE e.enrollment_id = c.id AND e.at > %s"
    " ORDER BY e.id + 0 LIMIT 1), c.status)"
)
_FIRST_CHANGE = (
    "(SELECT e.changes -> '{name}' -> 0 FROM {events} e WHERE e.enrollment_id = c.id AND e.id + 0 >= {first_undone}"
    " AND e.changes -> '{name}' IS NOT NULL ORDER BY e.id + 0 LIMIT 1)"
)
# A pass-over and an adoption leave the enrollment unchanged.
_VERSION = (
    "c.version - (SELECT COUNT(*) FROM {events} e WHERE e.enrollment_id = c.id AND e.id + 0 >= {first_undone}"
    " AND e.action NOT IN ({unchanged}))"
)
_UPDATED_AT = (
    "COALESCE((SELECT e.at FROM {events} e WHERE e.enrollment_id = c.id AND e.id + 0 < {first_undone}"
    " AND e.action NOT IN ({unchanged}) ORDER BY e.id + 0 DESC LIMIT 1), c.updated_at)"
)


class PastPages:
    """
    Compiles the statement of a page of enrollments as of the instant in the parameter ``AS_OF``.

    It first finds the ids of the page, then reads only these enrollments and their students, courses and terms, and the
    waitlists on which they are. So it is fast even if the database has no statistics about the tables.
    """

    def prepare(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return with_past_positions(rows)

    def compile(self, page: QuerySet[Any], rows: QuerySet[Any]) -> Statement:
        found, rendered = compile_statement(page.values_list("pk", "course_id", "status")), compile_statement(rows)
        waitlists = "c.course_id IN (SELECT DISTINCT course_id FROM past_page WHERE status = 'waitlisted')"
        parts = [
            _past("c.created_at <= %s"),
            found,
            _positions(waitlists),
            _past(_any_of("c.id", "SELECT id FROM past_page")),
            rendered,
        ]
        past, page_sql, positions, past_of_page, rows_sql = (part.sql for part in parts)
        table = _quoted(StudentCourse)
        sql = (
            f"WITH past_page (id, course_id, status) AS MATERIALIZED"
            f" (WITH {table} AS NOT MATERIALIZED ({past}) {page_sql}),"
            f" past_positions (positions) AS MATERIALIZED ({positions}),"
            f" {table} AS NOT MATERIALIZED ({past_of_page}) {rows_sql}"
        )
        return Statement(sql, tuple(value for part in parts for value in part.values))


@cache
def with_clause(*, of_course: bool = False) -> Statement:
    """
    Return the WITH clause for a query of all enrollments as of the instant in the parameter ``AS_OF``.

    With ``of_course`` it has only the enrollments of the course in the parameter ``COURSE``, and their positions.
    """
    table = _quoted(StudentCourse)
    if not of_course:
        past = _past("c.created_at <= %s")
        return Statement(f"WITH {table} AS NOT MATERIALIZED ({past.sql})", past.values)
    course = QueryParameter(COURSE)
    positions = _positions("c.course_id = %s", course)
    past = _past("c.created_at <= %s AND c.course_id = %s", course)
    sql = f"WITH past_positions (positions) AS MATERIALIZED ({positions.sql}), {table} AS MATERIALIZED ({past.sql})"
    return Statement(sql, (*positions.values, *past.values))


def with_past_positions(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return a queryset by ``with_details`` with the positions of the instant, for a statement that defines them."""
    return rows.annotate(annotated_waitlist_position=_PastPosition(F("pk")))


class _PastPosition(Func):
    """The position on the waitlist at the instant, by the id of an enrollment; null for one that did not wait."""

    template = "((SELECT positions FROM past_positions) ->> (%(expressions)s)::text)::int"
    output_field = IntegerField(null=True)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        # The operator ->> would take an id for the index of an array.
        template = "json_extract((SELECT positions FROM past_positions), '$.\"' || %(expressions)s || '\"')"
        return self.as_sql(compiler, connection, template=template, **extra)


def _any_of(column: str, ids: str) -> str:
    """Return a condition with a subquery for ids. PostgreSQL uses an index for an array, whatever its statistics."""
    return f"{column} = ANY(ARRAY({ids}))" if ON_POSTGRESQL else f"{column} IN ({ids})"


def _quoted(model: Any) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _current() -> str:
    """Return the name of the real table. SQLite takes an unqualified name for the table that a clause defines."""
    return _quoted(StudentCourse) if ON_POSTGRESQL else f"main.{_quoted(StudentCourse)}"


def _past(condition: str, *values: Any) -> Statement:
    """
    Return the query for the enrollments with a condition as they were at the instant.

    The instant is the parameter of every placeholder, except of the last ones, which take ``values``.
    """
    names = _names()
    expressions = {
        "status": names["status"],
        "version": _VERSION.format(**names),
        "updated_at": _UPDATED_AT.format(**names),
        **{name: _earlier_value(name, names) for name in TRACKED_FIELDS if name not in FINAL_FIELDS},
    }
    columns = ", ".join(
        f"{expressions.get(field.attname, f'c.{field.column}')} AS {connection.ops.quote_name(str(field.column))}"
        for field in StudentCourse._meta.concrete_fields
    )
    sql = _PAST.format(columns=columns, current=_current(), condition=condition)
    return Statement(sql, (*[_INSTANT] * (sql.count("%s") - len(values)), *values))


def _positions(condition: str, *values: Any) -> Statement:
    """Return the query for the positions on the waitlists of courses. The first placeholders take ``values``."""
    collect = "jsonb_object_agg" if ON_POSTGRESQL else "json_group_object"
    sql = _POSITIONS.format(collect=collect, current=_current(), condition=condition, status=_names()["status"])
    return Statement(sql, (*values, *[_INSTANT] * (sql.count("%s") - len(values))))


def _names() -> dict[str, str]:
    events = _quoted(EnrollmentEvent)
    return {
        "events": events,
        "first_undone": _FIRST_UNDONE.format(events=events),
        "status": _STATUS.format(events=events),
        "unchanged": f"'{Action.PASS_OVER.value}', '{Action.ADOPT.value}'",
    }


def _earlier_value(name: str, names: Mapping[str, str]) -> str:
    """Return the expression for a field whose changes the journal has as JSON."""
    field: Any = StudentCourse._meta.get_field(name)
    before, column = _FIRST_CHANGE.format(name=name, **names), f"c.{field.column}"
    if ON_POSTGRESQL:
        return f"(COALESCE({before}, to_jsonb({column})) #>> '{{}}')::{field.db_type(connection)}"
    return f"COALESCE({before}, json_quote({column})) ->> '$'"


def iterate_as_of(results: Iterator[T], instant: datetime | None, course_id: int | None = None) -> Iterator[T]:
    """
    Yield the results of an iterator over one query that reads enrollments, as of an instant; None is now.

    The query must not have run yet. It runs at the first result. With ``course_id`` it reads only enrollments of this
    course.
    """
    if instant is not None:
        of_course = course_id is not None
        clause, values = with_clause(of_course=of_course).bind({AS_OF: instant, COURSE: course_id})

        def prefixed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            return execute(f"{clause} {sql}", [*values, *(params or ())], many, context)

        with connection.execute_wrapper(prefixed):
            first = list(islice(results, 1))
        yield from first
    yield from results


def check_kept(instant: datetime) -> None:
    """Raise ``Refused`` for an instant before the journal begins."""
    first = EnrollmentEvent.objects.order_by("pk").values_list("at", flat=True).first()
    if first is not None and instant < first:
        begins_at = first.astimezone(UTC).isoformat().replace("+00:00", "Z")
        message = _("The journal begins at %(instant)s. Nothing is kept from before.") % {"instant": begins_at}
        raise Refused([Refusal("not_kept", message, _("Not kept"), field=AS_OF)])
