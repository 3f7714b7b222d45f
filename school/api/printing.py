"""Rows in JSON made by PostgreSQL: the shape of a serializer, read off it as one expression."""

from collections.abc import Mapping
from typing import Any

from django.db.models import F, Func, TextField
from rest_framework import serializers

PLAIN = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateField,
    serializers.IntegerField,
    serializers.JSONField,
)


def row_in_json(serializer: Any, annotations: Mapping[str, str]) -> Func:
    """
    Return the expression for a row as the serializer shows it, as text.

    ``annotations`` names the annotations of the queryset that stand for properties of the model. Raise ``TypeError``
    for a field whose value is not a column.
    """
    return _Text(_object(serializer, annotations, ""))


def _object(serializer: Any, annotations: Mapping[str, str], prefix: str) -> Func:
    return _Object({name: _value(field, annotations, prefix) for name, field in serializer.fields.items()})


def _value(field: Any, annotations: Mapping[str, str], prefix: str) -> Any:
    source = prefix + field.source.replace(".", "__")
    match field:
        case serializers.BaseSerializer():
            return _object(field, annotations, f"{source}__")
        case serializers.SlugRelatedField():
            return F(f"{source}__{field.slug_field}")
        case serializers.DateTimeField():
            return _Instant(F(source))
        case _ if isinstance(field, PLAIN):
            return F(annotations.get(source, source))
    raise TypeError(f"PostgreSQL does not know how to show {field!r}.")


class _Object(Func):
    """``json_build_object``, which keeps the order of its keys. They are names of fields, and need no quoting."""

    output_field = TextField()

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(*values.values())
        self.names = list(values)

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        parts, params = [], []
        for name, expression in zip(self.names, self.get_source_expressions(), strict=True):
            sql, more = compiler.compile(expression)
            parts.append(f"'{name}', {sql}")
            params += more
        return f"json_build_object({', '.join(parts)})", tuple(params)


class _Text(Func):
    template = "(%(expressions)s)::text"
    output_field = TextField()


class _Instant(Func):
    """An instant in UTC with Z, without a fraction where it has none, as DRF writes it."""

    template = (
        "replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000', '')"
    )
    output_field = TextField()
