"""Inserting many rows at once by PostgreSQL's COPY, which takes a fraction of what INSERT does."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import islice, repeat
from operator import attrgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connection, models

from school.postgresql.wire import Asked
from school.prepared import ON_POSTGRESQL, run_together

AT_ONCE = 1_000  # rows sent at a time
FEW = 100  # up to here one INSERT costs less than drawing ids and a COPY
VERY_FEW = 8  # up to here prepared INSERTs of a row each, sent together, cost less than one that has to be written

# What COPY's text format writes otherwise (PostgreSQL, COPY, "Text Format").
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f", "\v": r"\v"})


def insert_many(objects: Sequence[models.Model], *, behind: Sequence[Asked] = ()) -> None:
    """
    Insert new rows of one model, and give them their ids in their order; ``behind`` other statements of PostgreSQL.

    What ``bulk_create`` does, at the speed of COPY where there are many and the database has it. Foreign keys must be
    set by id.
    """
    if ON_POSTGRESQL and 1 <= len(objects) <= VERY_FEW:
        _insert_each(objects, behind)
        return
    run_together(behind)
    if not ON_POSTGRESQL or len(objects) <= FEW:
        if objects:
            type(objects[0])._base_manager.bulk_create(objects)
        return
    options = objects[0]._meta
    fields = options.concrete_fields
    row_of = attrgetter(*(field.attname for field in fields))
    writers = [_writer(field) for field in fields]
    table, columns = options.db_table, ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [table, options.pk.column, len(objects)],
        )
        ids = cursor.fetchall()
        alias, pk_name = connection.alias, options.pk.attname
        for instance, (pk,) in zip(objects, ids, strict=True):
            setattr(instance, pk_name, pk)
            state = instance._state
            state.adding, state.db = False, alias
        columns_of = zip(*map(row_of, objects), strict=True)
        texts = [write(values) for write, values in zip(writers, columns_of, strict=True)]
        with (
            connection.wrap_database_errors,
            cursor.copy(f'COPY "{table}" ({columns}) FROM STDIN') as copy,
        ):
            lines = map("\t".join, zip(*texts, strict=True))
            while piece := "\n".join(islice(lines, AT_ONCE)):  # the server is at work while the next piece is made
                copy.write(piece + "\n")


def _insert_each(objects: Sequence[models.Model], behind: Sequence[Asked]) -> None:
    """Insert new rows by a prepared statement for each."""
    statement, values_in, documents = _insert_into(type(objects[0]))
    asked = []
    for instance in objects:
        values = list(values_in(instance))
        for place, field in documents:
            values[place] = field.get_db_prep_save(values[place], connection)
        asked.append((statement, values))
    ids = run_together([*behind, *asked])[len(behind) :]
    for instance, [(pk,)] in zip(objects, ids, strict=True):
        instance.pk = pk
        instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS


@cache
def _insert_into(model: type[models.Model]) -> tuple[str, Callable[[Any], tuple[Any, ...]], list[tuple[int, Any]]]:
    """Return the statement, what takes a row's values, and which of them the driver does not know how to write."""
    options = model._meta
    fields = [field for field in options.concrete_fields if field is not options.pk]
    columns, slots = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    statement = f'INSERT INTO "{options.db_table}" ({columns}) VALUES ({slots}) RETURNING "{options.pk.column}"'  # noqa: S608  # names of columns
    documents = [(place, field) for place, field in enumerate(fields) if isinstance(field, models.JSONField)]
    return statement, attrgetter(*(field.attname for field in fields)), documents


def _writer(field: Any) -> Callable[[Sequence[Any]], Iterable[str]]:
    """Return what writes a column's values as COPY reads them. Most columns hold few values, again and again."""
    match field:
        case models.JSONField():
            return partial(_each, write=_json, key=id)
        case models.CharField() | models.TextField():
            return partial(_each, write=_text)
        case models.DateField():
            return partial(_each, write=_plain)
        case models.BigAutoField() | models.ForeignKey() if not field.null:
            return partial(map, str)
        case models.ForeignKey():
            return partial(_each, write=_plain)
    return partial(map, _plain)


def _each(
    values: Sequence[Any], *, write: Callable[[Any], str], key: Callable[[Any], Any] | None = None
) -> Iterable[str]:
    keys = values if key is None else list(map(key, values))
    written = {known: write(value) for known, value in dict(zip(keys, values, strict=True)).items()}
    if len(written) == 1:
        [text] = written.values()
        return repeat(text, len(keys))
    return map(written.__getitem__, keys)


def _plain(value: Any) -> str:
    return r"\N" if value is None else str(value)


def _text(value: str) -> str:
    return str(value).translate(_ESCAPES)


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder).translate(_ESCAPES) if value else "[]" if value == [] else "{}"
