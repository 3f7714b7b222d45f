"""Lookups by many values, for statements that are compiled before the values are known."""

from typing import Any

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.expressions import Combinable
from django.db.models.lookups import In

from school.db.compiled_queries import QueryParameter


@models.Field.register_lookup
class AnyOf(In):
    """
    Like ``in``, but the values may also be a ``QueryParameter`` for a list: one statement serves lists of any length.
    """

    lookup_name = "any_of"
    rhs: Any

    def get_prep_lookup(self) -> Any:
        """Return the values unconverted: they must have the column's type already."""
        return self.rhs if isinstance(self.rhs, QueryParameter) else list(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        if not isinstance(self.rhs, QueryParameter):
            return super().as_sql(compiler, connection)
        column, params = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{column} = ANY(%s{_cast(self.lhs)})", [*params, self.rhs]
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, self.rhs]  # noqa: S608  # only the name of a column


def _cast(column: Any) -> str:
    """Return the cast to the type of an array that a column is compared with."""
    field = column.output_field
    is_text = isinstance(getattr(field, "target_field", field), models.CharField | models.TextField)
    return "::text[]" if is_text else "::bigint[]"


def pair_in(first: str, second: str, firsts: Any, seconds: Any) -> Q | Combinable:
    """
    Return the condition that two id columns hold one of the pairs formed from the two parameters, position by position.
    """
    return _PairIn(F(first), F(second), firsts, seconds)


class _PairIn(Func):
    output_field = models.BooleanField()
    conditional = True

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        compiled = [compiler.compile(each) for each in self.source_expressions]
        first, second = compiled[0][0], compiled[1][0]
        # Sort the pairs by course, because rows from imports are stored in this order: finding many rows takes half the
        # time.
        pairs = (
            "SELECT DISTINCT first, second FROM unnest(%s::bigint[], %s::bigint[]) AS pair(first, second)"
            " ORDER BY second, first"
        )
        if connection.vendor != "postgresql":
            pairs = (
                "SELECT one.value, other.value FROM json_each(%s) one JOIN json_each(%s) other ON one.key = other.key"
            )
        return f"({first}, {second}) IN ({pairs})", tuple(compiled[2][1] + compiled[3][1])
