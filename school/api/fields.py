"""Fields that take JSON at its word: a number is no text, "yes" is no boolean, an unknown field is an error."""

from datetime import UTC, tzinfo
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import models
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class StrictCharField(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class StrictIntegerField(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(data)


class StrictBooleanField(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class UtcDateTimeField(serializers.DateTimeField):
    """An instant, in UTC whatever the school's time zone."""

    def default_timezone(self) -> tzinfo:
        return UTC


class StrictEmailField(serializers.EmailField, StrictCharField):
    pass


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Name each field that the body has and the resource does not. Fields that are only read may come back."""

    default_error_messages = {"unknown_field": _("There is no such field.")}

    def to_internal_value(self, data: Any) -> Any:
        unknown = [name for name in data if name not in self.fields] if isinstance(data, dict) else []
        errors: dict[str, Any] = {}
        values = {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            errors.update(serializers.as_serializer_error(exc))
        for name in unknown:
            message = str(self.error_messages["unknown_field"])
            errors[name] = [serializers.ErrorDetail(message, code="unknown_field")]
        if errors:
            raise serializers.ValidationError(errors)
        return values


class StrictModelSerializer(KnownFieldsSerializer, serializers.ModelSerializer[Any]):
    """A model's serializer whose input is taken at its word and held against the model's constraints."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StrictCharField,
        models.TextField: StrictCharField,
        models.EmailField: StrictEmailField,
        models.PositiveIntegerField: StrictIntegerField,
        models.BooleanField: StrictBooleanField,
        models.DateTimeField: UtcDateTimeField,
    }

    def get_validators(self) -> list[Any]:
        """None of DRF's own: ``validate`` asks the model, which knows all of its constraints."""
        return []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.Meta.model
        stored = self.instance
        known = {f.attname: getattr(stored, f.attname) for f in model._meta.concrete_fields} if stored else {}
        candidate = model(**known)
        candidate._state.adding = self.instance is None
        for name, value in attrs.items():
            setattr(candidate, name, value)
        try:
            candidate.validate_constraints()
        except ModelError as exc:
            raise serializers.ValidationError(serializers.as_serializer_error(exc)) from None
        return attrs
