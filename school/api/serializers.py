"""Base classes of serializers that reject unknown fields, and check all constraints of a model."""

from contextlib import suppress
from copy import copy
from functools import cache
from typing import Any, TypeVar, cast

from django.core.exceptions import ValidationError as ModelError
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from rest_framework import serializers
from rest_framework.settings import api_settings

from school.api.fields import (
    StrictBooleanField,
    StrictCharField,
    StrictDateField,
    StrictDecimalField,
    StrictEmailField,
    StrictIntegerField,
    UtcDateTimeField,
)

S = TypeVar("S", bound=serializers.BaseSerializer[Any])

MAX_UNKNOWN_FIELDS = 50


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """
    Rejects fields that the resource does not have, each by its name. Read-only fields are accepted and ignored.

    At most ``MAX_UNKNOWN_FIELDS`` unknown fields are named; an error of the whole body gives the number of the others.
    """

    default_error_messages = {"unknown_field": _("This field does not exist.")}

    def to_internal_value(self, data: Any) -> Any:
        known = set(self.fields)
        unknown = [name for name in data if name not in known] if isinstance(data, dict) else []
        errors: dict[str, Any] = {}
        values = {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            errors.update(serializers.as_serializer_error(exc))
        for name in unknown[:MAX_UNKNOWN_FIELDS]:
            errors[name] = [serializers.ErrorDetail(str(self.error_messages["unknown_field"]), code="unknown_field")]
        if more := len(unknown[MAX_UNKNOWN_FIELDS:]):
            message = ngettext("There is %(n)s more unknown field.", "There are %(n)s more unknown fields.", more)
            others = serializers.ErrorDetail(message % {"n": more}, code="unknown_field")
            errors.setdefault(api_settings.NON_FIELD_ERRORS_KEY, []).append(others)
        if errors:
            raise serializers.ValidationError(errors)
        return values


class DryRunMixin(KnownFieldsSerializer):
    """The field that asks for a preview of a change."""

    dry_run = StrictBooleanField(default=False, help_text=_("Preview the result, and apply nothing."))


class StrictModelSerializer(KnownFieldsSerializer, serializers.ModelSerializer[Any]):
    """A model's serializer with strict JSON types, whose input is checked against the model's constraints."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StrictCharField,
        models.TextField: StrictCharField,
        models.EmailField: StrictEmailField,
        models.DecimalField: StrictDecimalField,
        models.PositiveIntegerField: StrictIntegerField,
        models.BooleanField: StrictBooleanField,
        models.DateField: StrictDateField,
        models.DateTimeField: UtcDateTimeField,
    }

    def get_validators(self) -> list[Any]:
        """Return no validators of DRF, because this class checks all constraints of the model."""
        return []

    def get_uniqueness_extra_kwargs(self, field_names: Any, declared_fields: Any, extra_kwargs: Any) -> Any:
        """
        Return the options of the fields without those of DRF for unique constraints.

        DRF gives a field of a constraint the default of the model, so that a PUT without the field would reset it.
        """
        return extra_kwargs, {}

    def to_internal_value(self, data: Any) -> Any:
        """Return the values; raise ``ValidationError`` with all errors, also those of constraints on valid values."""
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as exc:
            errors: dict[str, Any] = dict(exc.detail)  # type: ignore[arg-type]  # the errors are always a dict by field
            if isinstance(data, dict):
                constraint_errors = self._constraint_errors(self._valid_values(data, errors), exclude=set(errors))
                errors = {**constraint_errors, **errors}
            raise serializers.ValidationError(errors) from None

    def _valid_values(self, data: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
        """Return the validated values of the fields without errors."""
        values = {}
        for field in self.fields.values():
            if not field.read_only and field.field_name not in errors:
                with suppress(serializers.SkipField):
                    values[str(field.source)] = field.run_validation(field.get_value(data))
        return values

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if constraint_errors := self._constraint_errors(attrs):
            raise serializers.ValidationError(constraint_errors)
        return attrs

    def _constraint_errors(self, attrs: dict[str, Any], exclude: set[str] | None = None) -> dict[str, Any]:
        """Return, by field, the errors of the model's constraints for these values."""
        model: Any = self.Meta.model
        stored = self.instance
        stored_values = {f.attname: getattr(stored, f.attname) for f in model._meta.concrete_fields} if stored else {}
        candidate = model(**stored_values)
        candidate._state.adding = self.instance is None
        for name, value in attrs.items():
            setattr(candidate, name, value)
        try:
            candidate.validate_constraints(exclude, self.context.get("row_constraints"))
        except ModelError as exc:
            return dict(serializers.as_serializer_error(exc))
        return {}

    def update(self, instance: Any, validated_data: dict[str, Any]) -> Any:
        """Save the instance if a value differs. A body without changes adds no version to the history."""
        if all(getattr(instance, name) == value for name, value in validated_data.items()):
            return instance
        return super().update(instance, validated_data)


@cache
def _cached_serializer(serializer_class: Any) -> Any:
    """Return a cached serializer whose fields are built already."""
    serializer = serializer_class()
    assert serializer.fields  # the first access builds them
    return serializer


def parse_body(serializer_class: type[S], data: Any) -> S:
    """Return a serializer that has validated the data; raise ``ValidationError``."""
    # Building the fields is slow, and they keep no request data, so a copy of the serializer can share them.
    cached: S = _cached_serializer(cast(Any, serializer_class))
    serializer = copy(cached)
    serializer.initial_data = data
    serializer.is_valid(raise_exception=True)
    return serializer
