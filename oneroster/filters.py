"""The filters and orders that consumers ask for: one or two clauses such as ``role='student' AND status='active'``."""

import re
from datetime import UTC, date, datetime
from functools import reduce
from operator import and_, or_
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from oneroster import sourced_ids
from oneroster.expressions import CaseFolded, DateText, InstantText, Ordered, UuidText
from oneroster.mapping import Field, Kind, Type
from school.db.sqlite.base import unicode_upper

MAX_LENGTH = 4_000
MAX_CLAUSES = 2
CLAUSE = re.compile(r"\s*([A-Za-z][\w.]*)\s*(!=|>=|<=|=|>|<|~)\s*'((?:[^']|'')*)'\s*")
JOIN = re.compile(r"\b(AND|OR)\b", re.IGNORECASE)
LOOKUPS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
EVERY, NONE = Q(), Q(pk__in=[])


class InvalidFilter(Exception):
    """``code`` is the standard's code for the error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Clause(NamedTuple):
    path: str
    operator: str
    value: str


def parse_filter(text: str) -> tuple[list[Clause], str]:
    """Return the clauses of a filter, and ``AND`` or ``OR`` between two of them; raise ``InvalidFilter``."""
    if len(text) > MAX_LENGTH:
        raise InvalidFilter("invaliddata", _("The filter is too long."))
    clauses: list[Clause] = []
    joined, position = "", 0
    while True:
        match = CLAUSE.match(text, position)
        if match is None:
            message = _("The filter is malformed. Write it like status='active' or role='student' AND status='active'.")
            raise InvalidFilter("invaliddata", message)
        clauses.append(Clause(match[1], match[2], match[3].replace("''", "'")))
        position = match.end()
        if position == len(text):
            return clauses, joined
        if len(clauses) == MAX_CLAUSES:
            raise InvalidFilter("invaliddata", _("A filter has at most two clauses."))
        join = JOIN.match(text, position)
        if join is None:
            raise InvalidFilter("invaliddata", _("Join two clauses of a filter by AND or OR."))
        joined, position = join[1].upper(), join.end()


def apply_filter(rows: QuerySet[Any], kind: Kind, text: str) -> QuerySet[Any]:
    """Return the rows that match a filter; raise ``InvalidFilter``."""
    clauses, joined = parse_filter(text)
    conditions = []
    for number, clause in enumerate(clauses):
        field = kind.find_field(clause.path)
        if field is None:
            message = _("There is no field %(name)s to filter by.") % {"name": clause.path[:100]}
            raise InvalidFilter("invalid_filter_field", message)
        rows, condition = _condition(rows, f"clause_{number}", field, clause)
        conditions.append(condition)
    return rows.filter(reduce(or_ if joined == "OR" else and_, conditions))


def apply_order(rows: QuerySet[Any], kind: Kind, path: str, *, descending: bool) -> QuerySet[Any]:
    """
    Return the rows in the order of a field, and in that of their ids among equal values.

    The standard orders by an unknown field as by none.
    """
    field = kind.find_field(path) if path else None
    if field is None or field.type == Type.CONSTANT:
        return rows.order_by("-sourced_id" if descending else "sourced_id")
    if path == "sourcedId":
        return rows.order_by("-sourced_id" if descending else "sourced_id")
    expression = _comparable(field)
    return rows.order_by(expression.desc() if descending else expression.asc(), "sourced_id")


def _comparable(field: Field) -> Any:
    """Return an expression for a field by which rows are sorted. A missing value is sorted as an empty text."""
    if field.type in (Type.TEXT, Type.IDS):
        return Ordered(Coalesce(field.expression, Value("")))
    return F(field.expression.name)


def _condition(rows: QuerySet[Any], alias: str, field: Field, clause: Clause) -> tuple[QuerySet[Any], Q]:
    """Return the rows with an alias for the field, and the condition of the clause on it."""
    _path, operator, value = clause
    if field.type == Type.CONSTANT:
        return rows, EVERY if _matches(field.expression, operator, value) else NONE
    if operator == "!=":
        rows, condition = _condition(rows, alias, field, clause._replace(operator="="))
        return rows, Q(**{f"{alias}__isnull": True}) | ~condition if condition is not NONE else EVERY
    if operator == "~" or (field.type == Type.IDS and operator == "="):
        if not value:
            return rows, NONE if operator == "=" else EVERY
        rows = rows.alias(**{alias: CaseFolded(_as_text(field))})
        return rows, Q(**{f"{alias}__icontains": unicode_upper(value)})
    if field.type in (Type.ID, Type.IDS) and operator != "=":
        rows = rows.alias(**{alias: _as_text(field)})
        return rows, Q(**{f"{alias}__{LOOKUPS[operator]}": value})
    if field.type == Type.TEXT:
        rows = rows.alias(**{alias: field.expression if operator == "=" else Ordered(field.expression)})
        return rows, Q(**{f"{alias}__{LOOKUPS.get(operator, 'exact')}": value})
    parsed = _PARSERS[field.type](value)
    rows = rows.alias(**{alias: field.expression})
    if parsed is None:
        if operator == "=":
            return rows, NONE
        raise InvalidFilter("invaliddata", _("%(value)s is no date.") % {"value": value[:100]})
    return rows, Q(**{f"{alias}__{LOOKUPS.get(operator, 'exact')}": parsed})


def _as_text(field: Field) -> Any:
    match field.type:
        case Type.ID:
            return UuidText(field.expression)
        case Type.DATE:
            return DateText(field.expression)
        case Type.INSTANT:
            return InstantText(field.expression)
    return field.expression


def _matches(constant: str | None, operator: str, value: str) -> bool:
    if constant is None:
        return operator == "!="
    match operator:
        case "=":
            return constant == value
        case "!=":
            return constant != value
        case "~":
            return value.lower() in constant.lower()
    return {">": constant > value, ">=": constant >= value, "<": constant < value, "<=": constant <= value}[operator]


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10] if text[10:11] == "T" else text)
    except ValueError:
        return None


def parse_instant(text: str) -> datetime | None:
    """Return the instant that a text means. A date means its beginning, and a time without an offset is in UTC."""
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_PARSERS: dict[Type, Any] = {Type.ID: sourced_ids.parse, Type.DATE: _parse_date, Type.INSTANT: parse_instant}
