"""Helpers of migrations: texts are normalized unless two rows would get the same key, and writers set markers."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from django.db import migrations

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


def set_markers_of_writers(table: str, marker_class: int) -> migrations.RunPython:
    """
    Return the operation after which every writer of a history table sets the marker of ``school.db.ordered_tables``.

    A statement trigger runs before the rows of an INSERT or COPY get their ids. Only the first marker of a transaction
    counts, so no other is set: each takes a lock. A rollback to a savepoint undoes both the marker and the setting.
    """
    name = f"{table}_sets_marker"
    create = f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('school.{name}', true) IS DISTINCT FROM 'on' THEN
                PERFORM pg_advisory_xact_lock_shared(
                    {marker_class << 48} + last_value - CASE WHEN is_called THEN 0 ELSE 1 END
                ) FROM {table}_history_id_seq;
                PERFORM set_config('school.{name}', 'on', true);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()
    """  # only the name of a table
    drop = f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}"

    def run(sql: str, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return migrations.RunPython(
        lambda _apps, schema_editor: run(create, schema_editor), lambda _apps, schema_editor: run(drop, schema_editor)
    )
