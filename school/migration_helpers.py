"""Helpers of the data migrations that normalize stored texts, which stop if two rows would get the same key."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]


def normalize_rows(model: Any, columns: Sequence[str], normalize: Callable[[Row], Row]) -> None:
    """Store the normalized values of these columns in all rows of a model. Only changed columns are updated."""
    for row in model.objects.order_by("pk").values("pk", *columns).iterator(chunk_size=10_000):
        changed = {name: value for name, value in normalize(row).items() if value != row[name]}
        if changed:
            model.objects.filter(pk=row["pk"]).update(**changed)


def refuse_clashes(model: Any, key: Callable[..., Any], *columns: str) -> None:
    """Raise ``ValueError`` with the ids of rows that share a key. ``key`` takes the columns' values; "" is no key."""
    ids: dict[Any, list[int]] = defaultdict(list)
    for pk, *values in model.objects.order_by("pk").values_list("pk", *columns).iterator(chunk_size=10_000):
        if shared_key := key(*values):
            ids[shared_key].append(pk)
    clashes = "; ".join(
        f"{shared_key!r}: ids {', '.join(map(str, row_ids))}" for shared_key, row_ids in ids.items() if row_ids[1:]
    )
    if clashes:
        names = ", ".join(columns)
        raise ValueError(
            f"Several rows of {model._meta.label} would have the same {names} once texts are normalized "
            f"(Unicode NFC, domains in lower case). Change all but one of each, then migrate again. {clashes}"
        )
