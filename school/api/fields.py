"""
Serializer fields that accept only their own JSON type.

A text field rejects a number, and a boolean field rejects "yes".
"""

from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from school.api.date_and_number_parsing import (
    INVALID_DAY,
    INVALID_INSTANT,
    parse_day,
    parse_instant,
    parse_whole_number,
)
from school.text_normalization import normalized, normalized_email


class StrictCharField(serializers.CharField):
    """
    A text that is normalized before its length is checked.

    A value that equals the stored value is not validated again.
    """

    normalize = staticmethod(normalized)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Without DRF's check for surrogates, which loops over all characters in Python: ``StrictJSONParser`` has
        # rejected surrogates.
        self.validators = [
            each for each in self.validators if not isinstance(each, ProhibitSurrogateCharactersValidator)
        ]

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(self.normalize(data) if isinstance(data, str) else data)

    def run_validators(self, value: Any) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            # Check the length first, because other validators read the whole text.
            self.fail("max_length", max_length=self.max_length)
        stored = getattr(self.parent, "instance", None)
        if not isinstance(stored, models.Model) or getattr(stored, self.source or "", None) != value:
            super().run_validators(value)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class StrictIntegerField(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(data)


@extend_schema_field({"type": "number", "maximum": 999.99})
class StrictDecimalField(serializers.DecimalField):
    """Credits, as a JSON number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "coerce_to_string": False})

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return Decimal(super().to_internal_value(data))

    def to_representation(self, value: Any) -> Any:
        return int(value) if value == int(value) else float(value)


class StrictBooleanField(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictDateField(serializers.DateField):
    """A date as YYYY-MM-DD."""

    default_error_messages = {"invalid": INVALID_DAY}

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str):
            self.fail("invalid")
        return parse_day(data)


class UtcDateTimeField(serializers.DateTimeField):
    """An instant. The input must have a UTC offset; the output is in UTC, whatever ``TIME_ZONE`` is."""

    default_error_messages = {"invalid": INVALID_INSTANT}

    def default_timezone(self) -> tzinfo:
        return UTC

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str):
            self.fail("invalid")
        return parse_instant(data)


class QueryIntegerField(serializers.IntegerField):
    """A whole number in a query string, where every value is text."""

    def to_internal_value(self, data: Any) -> int:
        return parse_whole_number(str(data))


class StrictEmailField(StrictCharField, serializers.EmailField):
    normalize = staticmethod(normalized_email)


class BoundedListField(serializers.ListField):
    """A list whose length is checked before its items are validated."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))
