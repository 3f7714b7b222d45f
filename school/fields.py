"""
Model fields: text that is stored, compared and searched in one normalized form, on both databases, and credits.
"""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import lookups
from django.utils.translation import gettext_lazy as _

from school.text_normalization import normalized, normalized_email


class _NormalizedFormField:
    """A form field that normalizes text before it checks its length and compares it."""

    normalize = staticmethod(normalized)

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)  # type: ignore[misc]  # defined by the form field class
        return self.normalize(value) if isinstance(value, str) else value


class NormalizedFormField(_NormalizedFormField, forms.CharField):
    pass


class NormalizedEmailFormField(_NormalizedFormField, forms.EmailField):
    normalize = staticmethod(normalized_email)


class _Normalized:
    """
    Normalizes values on every path to the database: forms, files, ``save``, ``bulk_create``, ``update`` and lookups.

    All of these call ``to_python``. Migrations refer to the Django field that is extended, which has the same column
    type.
    """

    normalize = staticmethod(normalized)
    form_class: type[forms.Field] = NormalizedFormField

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()  # type: ignore[misc]  # defined by the model field class
        return name, path.replace("school.fields.Normalized", "django.db.models."), args, kwargs

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": self.form_class, **kwargs})  # type: ignore[misc]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)  # type: ignore[misc]
        return self.normalize(value) if isinstance(value, str) else value

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        """Return the normalized value, and set it on the instance."""
        value = super().pre_save(model_instance, add)  # type: ignore[misc]
        if isinstance(value, str) and (stored := self.normalize(value)) != value:
            setattr(model_instance, self.attname, stored)  # type: ignore[attr-defined]
            return stored
        return value

    def clean(self, value: Any, model_instance: Any) -> Any:
        """
        Validate a value.

        An invalid value is accepted if it is the stored one, so that rows from before a new validator stay editable.
        """
        try:
            return super().clean(value, model_instance)  # type: ignore[misc]
        except ValidationError:
            value = self.to_python(value)
            if not value or not self._is_stored(model_instance, value):
                raise
            return value

    def _is_stored(self, model_instance: Any, value: str) -> bool:
        if model_instance is None or model_instance.pk is None:
            return False
        stored = type(model_instance)._base_manager.filter(pk=model_instance.pk)
        return value in stored.values_list(self.attname, flat=True)  # type: ignore[attr-defined]


class NormalizedCharField(_Normalized, models.CharField):
    pass


class NormalizedEmailField(_Normalized, models.EmailField):
    normalize = staticmethod(normalized_email)
    form_class = NormalizedEmailFormField


class ListField(models.JSONField):
    """A JSON list that is mostly empty. Migrations refer to the Django field that is extended."""

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the list. An empty one is not parsed, because every course has several of them."""
        return [] if value == "[]" else super().from_db_value(value, expression, connection)


def format_credits(value: Decimal | None) -> str:
    """Return credits without superfluous zeros: 3, 2.5; an empty text for None."""
    return "" if value is None else f"{value.normalize():f}"


class CreditsFormField(forms.DecimalField):
    """A form field that shows credits without superfluous zeros."""

    def prepare_value(self, value: Any) -> Any:
        return format_credits(value) if isinstance(value, Decimal) else value


class CreditsField(models.DecimalField):
    """
    Credits from 0 to 999.99, or None. Migrations refer to the Django field that is extended.
    """

    default_error_messages = {"invalid": _("Write a number from 0 to 999.99, such as 2.5.")}

    def __init__(self, verbose_name: Any = None, **options: Any) -> None:
        defaults = {"max_digits": 5, "decimal_places": 2, "null": True, "blank": True}
        super().__init__(verbose_name, **{**defaults, "validators": [MinValueValidator(0)], **options})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DecimalField", args, kwargs

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": CreditsFormField, **kwargs})

    def parse_cell(self, text: str) -> Decimal:
        """Return the value for the text of a cell, which may have a decimal comma; raise ``ValidationError``."""
        if not re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?", text):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        value: Decimal = self.clean(Decimal(text.replace(",", ".")), None)
        return value


class _CaseInsensitive:
    """
    Compares without regard to case, also for letters beyond ASCII, on SQLite too.

    SQLite's LIKE ignores case for ASCII letters only; ``school.db.sqlite`` adds the function ``unicode_upper``.
    """

    def get_prep_lookup(self) -> Any:
        value = super().get_prep_lookup()  # type: ignore[misc]  # defined by the lookup class
        return normalized(value) if isinstance(value, str) else value

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, column_values = self.process_lhs(compiler, connection)  # type: ignore[attr-defined]
        pattern, values = self.process_rhs(compiler, connection)  # type: ignore[attr-defined]
        sql = f"unicode_upper({column}) LIKE unicode_upper({pattern}) ESCAPE '\\'"
        return sql, [*column_values, *values]


class CaseInsensitiveContains(_CaseInsensitive, lookups.IContains):
    pass


class CaseInsensitiveStartsWith(_CaseInsensitive, lookups.IStartsWith):
    pass


class CaseInsensitiveExact(_CaseInsensitive, lookups.IExact):
    pass


class CaseInsensitiveLike(_CaseInsensitive, models.Lookup):
    """Compares with a normalized LIKE pattern: one that ``icontains`` makes from a text, or a ``QueryParameter``."""

    lookup_name = "matches"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, column_values = self.process_lhs(compiler, connection)
        pattern, values = self.process_rhs(compiler, connection)
        return f"UPPER({column}::text) LIKE UPPER({pattern})", [*column_values, *values]


for _field in (NormalizedCharField, NormalizedEmailField):
    for _lookup in (
        CaseInsensitiveContains,
        CaseInsensitiveStartsWith,
        CaseInsensitiveExact,
        CaseInsensitiveLike,
    ):
        _field.register_lookup(_lookup)
