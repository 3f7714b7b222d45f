"""The shape of a serializer, read off it once: as an expression for PostgreSQL, and as a function for a row."""

from collections.abc import Callable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Func, TextField, Value
from rest_framework import serializers

PLAIN = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateField,
    serializers.IntegerField,
    serializers.JSONField,
)


Printed = dict[str, Any]


def printer(serializer: Any) -> Callable[[Any], Printed]:
    """
    Return a function that gives what the serializer gives for a row, for a fifth of its time.

    Raise ``TypeError`` for a field whose value is no attribute.
    """
    parts = [(name, attrgetter(field.source), _shown(field)) for name, field in serializer.fields.items()]

    def printed(row: Any) -> Printed:
        found = {}
        for name, value_in, shown in parts:
            value = value_in(row)
            found[name] = value if shown is None or value is None else shown(value)
        return found

    return printed


def _shown(field: Any) -> Callable[[Any], Any] | None:
    """Return what a value of a field is shown by, None where it is shown as it is."""
    match field:
        case serializers.BaseSerializer():
            return printer(field)
        case serializers.SlugRelatedField():
            return attrgetter(field.slug_field)
        case serializers.DateField() | serializers.DateTimeField():
            shown: Callable[[Any], Any] = field.to_representation
            return shown
        case _ if isinstance(field, PLAIN):
            return None
    raise TypeError(f"No value is shown as it is by {field!r}.")


def row_in_json(serializer: Any, annotations: Mapping[str, str]) -> Func:
    """
    Return the expression for a row as the serializer shows it, as text.

    ``annotations`` names the annotations of the queryset that stand for properties of the model. Raise ``TypeError``
    for a field whose value is not a column.
    """
    pieces: list[Any] = []
    for is_text, alike in groupby(_object(serializer, annotations, ""), lambda piece: isinstance(piece, str)):
        some = list(alike)
        pieces += [Value("".join(some))] if is_text else some
    return Func(*pieces, function="concat", output_field=TextField())


def _object(serializer: Any, annotations: Mapping[str, str], prefix: str) -> list[Any]:
    """Return the pieces of an object: text in JSON, and expressions for it."""
    pieces, before = [], "{"
    for name, field in serializer.fields.items():
        pieces += [f'{before}"{name}":', *_value(field, serializer.Meta.model, annotations, prefix)]
        before = ","
    return [*pieces, "}"]


def _value(field: Any, model: Any, annotations: Mapping[str, str], prefix: str) -> list[Any]:
    source = prefix + field.source.replace(".", "__")
    is_there = source not in annotations and not _may_be_null(model, field.source)
    match field:
        case serializers.BaseSerializer() if is_there:
            return _object(field, annotations, f"{source}__")
        case serializers.SlugRelatedField():
            return [_Json(F(f"{source}__{field.slug_field}"))]
        case serializers.DateTimeField() if is_there:
            return ['"', _Instant(F(source)), '"']
        case serializers.IntegerField() if is_there:  # as it is: to look for quotes everywhere costs a third
            return [F(source)]
        case _ if isinstance(field, PLAIN):
            return [_Json(F(annotations.get(source, source)))]
    raise TypeError(f"PostgreSQL does not know how to show {field!r}.")


def _may_be_null(model: Any, source: str) -> bool:
    """Tell whether there may be nothing on the way to a column; raise ``TypeError`` where there is none."""
    for name in source.split("."):
        try:
            column = model._meta.get_field(name)
        except FieldDoesNotExist:
            raise TypeError(f"{model.__name__} has no column {name}.") from None
        if column.null:
            return True
        model = column.related_model
    return False


class _Json(Func):
    """A value in JSON, as text."""

    template = "COALESCE(to_json(%(expressions)s)::text, 'null')"
    output_field = TextField()


class _Instant(Func):
    """An instant in UTC with Z, without a fraction where it has none, as DRF writes it."""

    template = (
        "replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000', '')"
    )
    output_field = TextField()
