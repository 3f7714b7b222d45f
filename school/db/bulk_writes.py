"""Bulk writes: new rows by PostgreSQL's COPY, changed rows by one UPDATE from arrays."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import islice, repeat
from operator import attrgetter, itemgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connection, models

from school.db.compiled_queries import ON_POSTGRESQL, BoundStatement, run_statement, run_statements

COPY_BATCH_SIZE = 1_000  # the number of rows that are sent to COPY at a time
MAX_INSERT_ROWS = 100  # for at most this number of rows, one INSERT costs less than fetching ids and a COPY
MAX_PREPARED_INSERTS = (
    # For at most this number of rows, prepared INSERTs of one row each, sent together, cost less than building one
    # INSERT.
    8
)

# Characters that COPY's text format escapes (PostgreSQL, COPY, "Text Format").
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f", "\v": r"\v"})


def insert_many(objects: Sequence[models.Model], *, preceding: Sequence[BoundStatement] = ()) -> None:
    """
    Insert new rows of one model and set their ids, ascending in the given order.

    ``preceding`` has PostgreSQL statements to run before the insert. Does the same as ``bulk_create``, but uses COPY
    for many rows on PostgreSQL. Foreign keys must be set by id.
    """
    if ON_POSTGRESQL and 1 <= len(objects) <= MAX_PREPARED_INSERTS:
        _insert_prepared(objects, preceding)
        return
    run_statements(preceding)
    if not ON_POSTGRESQL or len(objects) <= MAX_INSERT_ROWS:
        if objects:
            type(objects[0])._base_manager.bulk_create(objects)
        return
    options = objects[0]._meta
    fields = options.concrete_fields
    get_values = itemgetter(*(field.attname for field in fields))
    formatters = [_column_formatter(field) for field in fields]
    table, columns = options.db_table, ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            # The subquery looks up the sequence once instead of for each row.
            "SELECT nextval((SELECT pg_get_serial_sequence(%s, %s)::regclass)) FROM generate_series(1, %s)",
            [table, options.pk.column, len(objects)],
        )
        ids = cursor.fetchall()
        alias, pk_name = connection.alias, options.pk.attname
        for instance, (pk,) in zip(objects, ids, strict=True):
            setattr(instance, pk_name, pk)
            state = instance._state
            state.adding, state.db = False, alias
        # Read from ``__dict__``: the attribute of a foreign key is a descriptor implemented in Python, and slow.
        columns_of = zip(*(get_values(vars(instance)) for instance in objects), strict=True)
        texts = [format_column(values) for format_column, values in zip(formatters, columns_of, strict=True)]
        with (
            connection.wrap_database_errors,
            cursor.copy(f'COPY "{table}" ({columns}) FROM STDIN') as copy,
        ):
            lines = map("\t".join, zip(*texts, strict=True))
            # The server works on this piece while the next one is built.
            while chunk := "\n".join(islice(lines, COPY_BATCH_SIZE)):
                copy.write(chunk + "\n")


def update_many(objects: Sequence[models.Model], names: Sequence[str]) -> None:
    """
    Update the named fields of existing rows of one model.

    Does the same as ``bulk_update``, which takes quadratic time because it writes a CASE for every row and field. The
    fields must hold texts, numbers, dates, datetimes or JSON documents.
    """
    if not objects:
        return
    model = type(objects[0])
    statement, fields = _update_statement(model, tuple(names))
    columns_of = [(field, [getattr(instance, field.attname) for instance in objects]) for field in fields]
    if ON_POSTGRESQL:
        run_statement(statement, [_array_literal(field, values) for field, values in columns_of])
        return
    columns = [[field.get_db_prep_save(value, connection) for value in values] for field, values in columns_of]
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(zip(*columns, strict=True)))


@cache
def _update_statement(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, list[Any]]:
    """Return the UPDATE statement and its parameters' fields: on PostgreSQL arrays, on SQLite the values of one row."""
    options = model._meta
    fields: list[Any] = [*map(options.get_field, names), options.pk]
    *columns, pk = [f'"{field.column}"' for field in fields]
    if not ON_POSTGRESQL:
        changes = ", ".join(f"{column} = %s" for column in columns)
        return f'UPDATE "{options.db_table}" SET {changes} WHERE {pk} = %s', fields  # noqa: S608  # only names of tables and columns
    changes = ", ".join(f"{column} = new.{column}" for column in columns)
    arrays = ", ".join(f"%s::{_array_type(field)}[]" for field in fields)
    statement = (
        f'UPDATE "{options.db_table}" AS old SET {changes}'  # noqa: S608  # only names of tables and columns
        f" FROM unnest({arrays}) AS new({', '.join([*columns, pk])}) WHERE old.{pk} = new.{pk}"
    )
    return statement, fields


def _array_type(field: Any) -> str:
    """Return the SQL type of a field's array. Texts use ``text``: a cast to ``varchar(n)`` would truncate silently."""
    return "text" if isinstance(field, models.CharField | models.TextField) else str(field.db_type(connection))


def _array_literal(field: Any, values: Sequence[Any]) -> str:
    """Return the values of a field as a PostgreSQL array literal."""
    if isinstance(field, models.JSONField):
        values = [json.dumps(value, cls=DjangoJSONEncoder) for value in values]
    return f"{{{','.join(_format_distinct(values, format_value=_quote_element))}}}"


def _quote_element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _insert_prepared(objects: Sequence[models.Model], preceding: Sequence[BoundStatement]) -> None:
    """Insert each new row by a prepared statement, and set its id."""
    statement, get_values, documents = _insert_statement(type(objects[0]))
    inserts = []
    for instance in objects:
        values = list(get_values(instance))
        for position in documents:
            values[position] = _json_text(values[position])
        inserts.append((statement, values))
    ids = run_statements([*preceding, *inserts])[len(preceding) :]
    for instance, [(pk,)] in zip(objects, ids, strict=True):
        instance.pk = pk
        instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS


@cache
def _insert_statement(model: type[models.Model]) -> tuple[str, Callable[[Any], tuple[Any, ...]], list[int]]:
    """Return the INSERT statement, a getter of a row's values, and the positions of its JSON documents."""
    options = model._meta
    fields = [field for field in options.concrete_fields if field is not options.pk]
    columns, placeholders = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    statement = f'INSERT INTO "{options.db_table}" ({columns}) VALUES ({placeholders}) RETURNING "{options.pk.column}"'  # noqa: S608  # only names of tables and columns
    documents = [position for position, field in enumerate(fields) if isinstance(field, models.JSONField)]
    return statement, attrgetter(*(field.attname for field in fields)), documents


def _column_formatter(field: Any) -> Callable[[Sequence[Any]], Iterable[str]]:
    """
    Return a function that formats a column's values for COPY.

    Most columns repeat few distinct values, so each distinct value is formatted once.
    """
    match field:
        case models.JSONField():
            return _format_documents
        case models.CharField() | models.TextField():
            return partial(_format_distinct, format_value=_format_text)
        case models.DateField():
            return partial(_format_distinct, format_value=_format_plain)
        case models.BigAutoField() | models.ForeignKey() if not field.null:
            return partial(map, str)
        case models.ForeignKey():
            return partial(_format_distinct, format_value=_format_plain)
    return partial(map, _format_plain)


def _format_documents(values: Sequence[Any]) -> Iterable[str]:
    """Format JSON documents for COPY. Many rows share one object or have equal ones, which are formatted once."""
    objects = {id(value): value for value in values}
    texts = dict(
        zip(objects, _format_distinct(list(objects.values()), format_value=_format_json, key=repr), strict=True)
    )
    return map(texts.__getitem__, map(id, values))


def _format_distinct(
    values: Sequence[Any], *, format_value: Callable[[Any], str], key: Callable[[Any], Any] | None = None
) -> Iterable[str]:
    if len(values) == 1:
        return [format_value(values[0])]
    keys = values if key is None else list(map(key, values))
    formatted = {key_value: format_value(value) for key_value, value in dict(zip(keys, values, strict=True)).items()}
    if len(formatted) == 1:
        [text] = formatted.values()
        return repeat(text, len(keys))
    return map(formatted.__getitem__, keys)


def _format_plain(value: Any) -> str:
    return r"\N" if value is None else str(value)


def _format_text(value: str) -> str:
    return str(value).translate(_ESCAPES)


def _format_json(value: Any) -> str:
    text = _json_text(value)
    return r"\N" if text is None else text.translate(_ESCAPES)


def _json_text(value: Any) -> str | None:
    """Return a JSON document as text, None for NULL. Most documents are empty, and need no encoder."""
    if value is None:
        return None
    return "[]" if value == [] else "{}" if value == {} else json.dumps(value, cls=DjangoJSONEncoder)
