"""
Expressions by which the database renders the rows of an answer as JSON.

An expression is built once from a serializer; no model instance and no serializer is created for a row. A serializer
names in ``computed`` the fields that the database cannot render. Numbers and instants are inserted without escaping:
escaping every value costs PostgreSQL a third of the time.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Func, JSONField, TextField, Value
from django.http import HttpResponse
from rest_framework import serializers

PLAIN_FIELDS = (
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateField,
    serializers.DictField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.ListField,
    serializers.PrimaryKeyRelatedField,
)

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def json_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response with a text that is JSON already."""
    return HttpResponse(text, "application/json", status, headers=headers)


class ComputedField(NamedTuple):
    """
    A field that the database cannot render: the columns that it depends on, and the function that computes its value.

    The function gets the request and the values of the columns. If ``only_limited`` is True, it is used for limited
    clients only, and the database renders the field for other callers.
    """

    columns: tuple[str, ...]
    value: Callable[..., Any]
    only_limited: bool = False


@dataclass
class RowTemplate:
    """
    The expressions of a row: first its pieces, each a text, then the columns that the computed fields depend on.

    ``computed`` has the fields between the pieces, each with the positions of its columns. A column that several fields
    depend on is selected once.
    """

    expressions: list[Any]
    computed: list[tuple[ComputedField, list[int]]]

    def render(self, request: Any, columns: Sequence[str]) -> str:
        """Return the JSON of a row. ``columns`` has the values of ``expressions``."""
        if not self.computed:
            return columns[0]
        first, *texts = columns[: len(self.computed) + 1]
        values = [json.loads(str(column)) for column in columns[len(self.computed) + 1 :]]
        rendered = [first]
        for (each, positions), text in zip(self.computed, texts, strict=True):
            rendered += [encode_json(each.value(request, *(values[position] for position in positions))), text]
        return "".join(rendered)


def row_template(serializer: Any, *, is_limited: bool = False) -> RowTemplate:
    """
    Return the template of a row as the serializer renders it.

    A serializer's ``annotated`` names the annotations of the queryset that replace properties of the model. Raise
    ``TypeError`` for a field that is neither a column nor computed.
    """
    texts: list[list[Any]] = [[]]  # the pieces before, between and after the computed fields
    computed = []
    for piece in _object_pieces(serializer, "", is_limited=is_limited):
        if isinstance(piece, tuple):
            computed.append(piece)
            texts.append([])
        else:
            texts[-1].append(piece)
    columns = list(dict.fromkeys(column for _field, columns in computed for column in columns))
    positions = [(each, [columns.index(column) for column in its_columns]) for each, its_columns in computed]
    return RowTemplate([*map(_concatenate, texts), *columns], positions)


def _concatenate(pieces: Sequence[Any]) -> Any:
    """Return the expression that concatenates the pieces. Adjacent texts become one."""
    merged: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return Concat(*(Value(piece) if isinstance(piece, str) else piece for piece in merged))


def _object_pieces(serializer: Any, prefix: str, *, is_limited: bool) -> list[Any]:
    """Return the pieces of a JSON object: texts, expressions, and computed fields with their columns."""
    pieces: list[Any] = []
    separator, model = "{", serializer.Meta.model
    computed: Mapping[str, ComputedField] = getattr(serializer, "computed", {})
    annotated: Mapping[str, str] = getattr(serializer, "annotated", {})
    for name, each in serializer.fields.items():
        pieces.append(f'{separator}"{name}":')
        separator = ","
        computed_field = computed.get(name)
        if computed_field and (is_limited or not computed_field.only_limited):
            pieces.append(
                (computed_field, [_column_as_json(model, column, prefix) for column in computed_field.columns])
            )
        elif name in annotated:
            pieces.append(Json(F(prefix + annotated[name])))
        else:
            pieces += _field_pieces(each, model, prefix, is_limited=is_limited)
    return [*pieces, "}"]


def _field_pieces(each: Any, model: Any, prefix: str, *, is_limited: bool) -> list[Any]:
    if isinstance(each, serializers.BaseSerializer) and each.source == "*":  # an object made of the same row
        return _object_pieces(each, prefix, is_limited=is_limited)
    path = str(each.source).replace(".", "__")
    source, may_be_null = prefix + path, column_at_path(model, path)[1]
    match each:
        case serializers.BaseSerializer() if not may_be_null:
            return _object_pieces(each, f"{source}__", is_limited=is_limited)
        case serializers.SlugRelatedField():
            return [Json(F(f"{source}__{each.slug_field}"))]
        case serializers.BooleanField():
            return [JsonBoolean(F(source))]
        case serializers.DateTimeField():
            return [JsonInstant(F(source))] if may_be_null else ['"', Instant(F(source)), '"']
        case serializers.DecimalField():
            return [JsonDecimal(F(source))]
        case serializers.IntegerField() if not may_be_null:
            return [F(source)]
        case _ if isinstance(each, PLAIN_FIELDS):
            return [_column_as_json(model, path, prefix)]
        case serializers.Field() if isinstance(column_at_path(model, path)[0], JSONField):
            return [_column_as_json(model, path, prefix)]
    raise TypeError(f"The database does not know how to write {each!r}.")


def column_at_path(model: Any, path: str) -> tuple[Any, bool]:
    """Return the column at a path of names, and whether anything on the path is nullable; raise ``TypeError``."""
    may_be_null, column = False, None
    for name in path.split("__"):
        try:
            column = next((each for each in model._meta.concrete_fields if each.attname == name), None)
            column = column or model._meta.get_field(name)
        except FieldDoesNotExist:
            raise TypeError(f"{model.__name__} has no column {name}.") from None
        may_be_null, model = may_be_null or column.null, column.related_model
    return column, may_be_null


def _column_as_json(model: Any, path: str, prefix: str) -> Func:
    """Return the expression that renders a column or an annotation as JSON."""
    try:
        is_document = isinstance(column_at_path(model, path)[0], JSONField)
    except TypeError:
        is_document = False
    return (JsonDocument if is_document else Json)(F(prefix + path))


class Concat(Func):
    function = "concat"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s)", arg_joiner=" || ", **extra)


class Json(Func):
    """Renders a value as JSON, as text."""

    template = "COALESCE(to_json(%(expressions)s)::text, 'null')"
    on_sqlite = "json_quote(%(expressions)s)"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template=self.on_sqlite, **extra)


class JsonDocument(Json):
    """Renders a column that holds JSON."""

    on_sqlite = "COALESCE(json(%(expressions)s), 'null')"


class JsonDecimal(Json):
    """Renders a decimal number without superfluous zeros."""

    template = "COALESCE(trim_scale(%(expressions)s)::text, 'null')"


class JsonBoolean(Json):
    on_sqlite = "CASE %(expressions)s WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"


class Instant(Json):
    """Renders an instant as DRF does: in UTC with Z, without a fraction if that is zero."""

    template = (
        "replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000', '')"
    )
    on_sqlite = "replace(%(expressions)s, ' ', 'T') || 'Z'"


class JsonInstant(Instant):
    """Renders an instant as a JSON string, or as ``null`` if there is none."""

    template = f"COALESCE('\"' || {Instant.template} || '\"', 'null')"
    on_sqlite = f"COALESCE('\"' || {Instant.on_sqlite} || '\"', 'null')"
