"""Plans which objects keep, give up or take over values that must be unique, apart from keys."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import models
from django.db.models.functions import Lower

from bulk.files.temporary_table import temporary_table


class Plan(NamedTuple):
    """The objects that cannot get the value that they want, and the ids of those whose value goes to another object."""

    refused: list[Any]
    handed_on: set[int]


def plan(
    wanted: Sequence[Any], model: type[models.Model], field: str, gives_up: Callable[[Collection[int]], set[int]]
) -> Plan:
    """
    Find out with one query how objects can get the values of ``field`` that they want, in the order of ``wanted``.

    A value that another object holds is free if that object wants another value too, or if ``gives_up`` returns its id.
    An object that is refused keeps its value, so an object that was to take over this value is refused as well.
    """
    values = {id(each): getattr(each, field).lower() for each in wanted}
    holders = _holders(model, field, {value for value in values.values() if value})
    by_pk = {each.pk: each for each in wanted if each.pk}
    moving = {pk for value, pk in holders.items() if pk in by_pk and values[id(by_pk[pk])] != value}
    moving |= gives_up({pk for pk in holders.values() if pk not in by_pk})
    taken: dict[str, Any] = {}
    refused: list[Any] = []
    for each in wanted:
        value = values[id(each)]
        holder = holders.get(value)
        if value and (value in taken or holder not in (None, each.pk, *moving & {holder})):
            refused.append(each)
        elif value:
            taken[value] = each
    held = {pk: value for value, pk in holders.items()}
    for each in refused:  # the list grows in the loop
        follower = taken.get(held.get(each.pk, ""))
        if follower is not None and follower is not each:
            refused.append(taken.pop(values[id(follower)]))
    handed_on = {holders[value] for value, each in taken.items() if holders.get(value) not in (None, each.pk)}
    return Plan(refused, handed_on)


def _holders(model: type[models.Model], field: str, values: Collection[str]) -> dict[str, int]:
    """Return the ids of the objects that hold these values now, by value."""
    held = model._default_manager.exclude(**{field: ""}).annotate(folded=Lower(field)).filter(folded__in=values)
    return dict(held.order_by().values_list("folded", "pk"))


class WantedLater:
    """The values that the rows of a whole file want, by the keys of the rows. Memory does not grow with the file."""

    def __init__(self, rows: Iterable[tuple[Hashable, str]]) -> None:
        self.database = temporary_table("wanted (key TEXT PRIMARY KEY, value TEXT)")
        self.database.executemany(
            "INSERT INTO wanted VALUES (?, ?) ON CONFLICT DO NOTHING", ((repr(key), value) for key, value in rows)
        )

    def differs(self, held: Mapping[int, tuple[Hashable, str]]) -> set[int]:
        """Return the ids of the objects for which the file wants another value. ``held`` has key and value by id."""
        return {pk for pk, (key, value) in held.items() if self._wanted(key) not in (None, value)}

    def _wanted(self, key: Hashable) -> str | None:
        row = self.database.execute("SELECT value FROM wanted WHERE key = ?", (repr(key),)).fetchone()
        return str(row[0]) if row else None
