"""Plans how objects get unique values, such as emails, that other objects have now or give up in the same file."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import models
from django.db.models.functions import Lower

from bulk.scratch_table import scratch_table


class Plan(NamedTuple):
    """The objects that cannot get the requested value, and the ids of the objects whose value another object gets."""

    refused: list[Any]
    reassigned: set[int]


def plan(
    requested: Sequence[Any],
    model: type[models.Model],
    field: str,
    find_released: Callable[[Collection[int]], set[int]],
) -> Plan:
    """
    Plan, with one query, which objects of ``requested`` get the values of ``field`` that their rows ask for.

    A value that another object has is free if that object gets another value too, or if ``find_released`` returns the
    id of that object. An object that is refused keeps its value, so an object that was to get this value is refused,
    too.
    """
    values = {id(each): getattr(each, field).lower() for each in requested}
    holders = _current_holders(model, field, {value for value in values.values() if value})
    by_pk = {each.pk: each for each in requested if each.pk}
    released = {pk for value, pk in holders.items() if pk in by_pk and values[id(by_pk[pk])] != value}
    released |= find_released({pk for pk in holders.values() if pk not in by_pk})
    assigned: dict[str, Any] = {}
    refused: list[Any] = []
    for each in requested:
        value = values[id(each)]
        holder = holders.get(value)
        if value and (value in assigned or holder not in (None, each.pk, *released & {holder})):
            refused.append(each)
        elif value:
            assigned[value] = each
    current_values = {pk: value for value, pk in holders.items()}
    for each in refused:  # the loop adds items to this list
        successor = assigned.get(current_values.get(each.pk, ""))
        if successor is not None and successor is not each:
            refused.append(assigned.pop(values[id(successor)]))
    reassigned = {holders[value] for value, each in assigned.items() if holders.get(value) not in (None, each.pk)}
    return Plan(refused, reassigned)


def _current_holders(model: type[models.Model], field: str, values: Collection[str]) -> dict[str, int]:
    """Return the ids of the objects that have these values now, by value."""
    objects = model._default_manager.exclude(**{field: ""}).annotate(folded=Lower(field)).filter(folded__in=values)
    return dict(objects.order_by().values_list("folded", "pk"))


class RequestedValues:
    """The values that the rows of a whole file ask for, by the keys of the rows. Memory does not grow with the file."""

    def __init__(self, rows: Iterable[tuple[Hashable, str]]) -> None:
        self.database = scratch_table("wanted (key TEXT PRIMARY KEY, value TEXT)")
        self.database.executemany(
            "INSERT INTO wanted VALUES (?, ?) ON CONFLICT DO NOTHING", ((repr(key), value) for key, value in rows)
        )

    def with_other_value(self, current_values: Mapping[int, tuple[Hashable, str]]) -> set[int]:
        """
        Return the ids of the objects for which the file has another value.

        ``current_values`` has the key and the present value of each object, by id.
        """
        return {pk for pk, (key, value) in current_values.items() if self._requested(key) not in (None, value)}

    def _requested(self, key: Hashable) -> str | None:
        row = self.database.execute("SELECT value FROM wanted WHERE key = ?", (repr(key),)).fetchone()
        return str(row[0]) if row else None
