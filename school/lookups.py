"""Asking for many rows at once: by an array where a database has arrays, since a long list takes long to write."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import F, Func, Q
from django.db.models.expressions import Combinable
from django.db.models.lookups import In

from school.prepared import array_of


@models.Field.register_lookup
class Among(In):
    """``pk__among=ids``: what ``pk__in`` asks, by one array on PostgreSQL."""

    lookup_name = "among"

    def get_prep_lookup(self) -> list[Any]:
        """Take the values as they are: they must be of the column's own type already."""
        return list(self.rhs)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        if not self.rhs:
            raise EmptyResultSet
        column, params = self.process_lhs(compiler, connection)
        if isinstance(self.rhs[0], int):
            return f"{column} = ANY(%s::bigint[])", [*params, array_of(self.rhs)]
        return f"{column} = ANY(%s)", [*params, self.rhs]


def is_pair(first: str, second: str, firsts: Collection[int], seconds: Collection[int]) -> Q | Combinable:
    """
    Return the condition that two columns of ids hold one of the pairs that the two collections make, side by side.

    Where a database has no arrays, that each of them holds one that is in a pair: more than was asked for.
    """
    if connection.vendor == "postgresql" and firsts:
        return _IsPair(F(first), F(second), firsts=firsts, seconds=seconds)
    return Q(**{f"{first}__in": set(firsts), f"{second}__in": set(seconds)})


class _IsPair(Func):
    output_field = models.BooleanField()
    conditional = True

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        first, second = (compiler.compile(each)[0] for each in self.source_expressions)
        arrays = array_of(self.extra["firsts"]), array_of(self.extra["seconds"])
        # One after the other as rows that came in bulk lie, course by course: many are found for half the price.
        pairs = "SELECT DISTINCT first, second FROM unnest(%%s::bigint[], %%s::bigint[]) AS pair(first, second)"
        template = f"(%s, %s) IN ({pairs} ORDER BY second, first)"
        return template % (first, second), arrays
