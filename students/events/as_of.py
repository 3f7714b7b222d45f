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
from django.db.models import DateTimeField
from django.utils.translation import gettext as _

from school.db.compiled_queries import ON_POSTGRESQL, QueryParameter, Statement
from school.refusals import Refusal, Refused
from students.events.journal import TRACKED_FIELDS
from students.models import Action, EnrollmentEvent, StudentCourse

AS_OF, COURSE = "as_of", "course"  # the parameters of the clause

# The fields that get their value when the enrollment begins, and keep it. A list compares them for every student who
# waits.
FINAL_FIELDS = ("waitlisted_at",)

T = TypeVar("T")

# ``c`` is the current enrollment, and ``e`` an entry about it. An import may write an entry with an earlier time than
# that of the entry before it, so the entries are in the order of their ids. There are only subqueries and no join, so
# that a page reads few more enrollments than it shows.
_CLAUSE = """
WITH {table} AS {materialized} (SELECT {columns} FROM {current} c WHERE c.created_at <= %s{condition})
"""
_FIRST_UNDONE = "(SELECT MIN(e.id) FROM {events} e WHERE e.enrollment_id = c.id AND e.at > %s)"
_STATUS = (
    "COALESCE((SELECT e.from_status FROM {events} e WHERE e.enrollment_id = c.id AND e.at > %s ORDER BY e.id LIMIT 1),"
    " c.status)"
)
_FIRST_CHANGE = (
    "(SELECT e.changes -> '{name}' -> 0 FROM {events} e WHERE e.enrollment_id = c.id AND e.id >= {first_undone}"
    " AND e.changes -> '{name}' IS NOT NULL ORDER BY e.id LIMIT 1)"
)
# A pass-over and an adoption leave the enrollment unchanged.
_VERSION = (
    "c.version - (SELECT COUNT(*) FROM {events} e WHERE e.enrollment_id = c.id AND e.id >= {first_undone}"
    " AND e.action NOT IN ({unchanged}))"
)
_UPDATED_AT = (
    "COALESCE((SELECT e.at FROM {events} e WHERE e.enrollment_id = c.id AND e.id < {first_undone}"
    " AND e.action NOT IN ({unchanged}) ORDER BY e.id DESC LIMIT 1), c.updated_at)"
)


@cache
def with_clause(*, of_course: bool = False) -> Statement:
    """
    Return the WITH clause. It takes the instant as the parameter ``AS_OF``.

    With ``of_course`` it has only the enrollments of the course in the parameter ``COURSE``. They are computed once,
    because the waitlist position of each is a count of the others.
    """
    table, events = (connection.ops.quote_name(model._meta.db_table) for model in (StudentCourse, EnrollmentEvent))
    names = {
        "events": events,
        "first_undone": _FIRST_UNDONE.format(events=events),
        "unchanged": f"'{Action.PASS_OVER.value}', '{Action.ADOPT.value}'",
    }
    expressions = {
        "status": _STATUS.format(**names),
        "version": _VERSION.format(**names),
        "updated_at": _UPDATED_AT.format(**names),
        **{name: _earlier_value(name, names) for name in TRACKED_FIELDS if name not in FINAL_FIELDS},
    }
    columns = ", ".join(
        f"{expressions.get(field.attname, f'c.{field.column}')} AS {connection.ops.quote_name(str(field.column))}"
        for field in StudentCourse._meta.concrete_fields
    )
    # SQLite takes an unqualified name for the table that the clause defines.
    current = table if ON_POSTGRESQL else f"main.{table}"
    kind = {
        "materialized": "MATERIALIZED" if of_course else "NOT MATERIALIZED",
        "condition": " AND c.course_id = %s" if of_course else "",
    }
    sql = " ".join(_CLAUSE.format(table=table, columns=columns, current=current, **kind).split())
    course = [QueryParameter(COURSE)] if of_course else []
    instant = QueryParameter(AS_OF, DateTimeField())
    return Statement(sql, (*[instant] * (sql.count("%s") - len(course)), *course))


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
