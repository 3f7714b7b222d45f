"""Database constraints of the models: the field of each, and the constraint that an ``IntegrityError`` violates."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import Error, models
from django.db.models import F, UniqueConstraint

from school.db.errors import constraint_named_by, state_of

FOREIGN_KEY = {"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"}


@dataclass(frozen=True, slots=True)
class Known:
    """A constraint of a model: its name and, if it is unique, its field and the error message for a duplicate."""

    name: str
    is_unique: bool = False
    field: str | None = None
    message: Any = None


def field_of(constraint: Any) -> str | None:
    """Return the field at which a violation of a unique constraint is reported, None for other constraints."""
    if not isinstance(constraint, UniqueConstraint):
        return None
    if constraint.fields:
        return str(constraint.fields[0])
    return next((each.name for expression in constraint.expressions for each in _references(expression)), None)


def _references(expression: Any) -> Iterator[Any]:
    if isinstance(expression, F):
        yield expression
    for child in expression.get_source_expressions() if hasattr(expression, "get_source_expressions") else ():
        yield from _references(child)


class FieldsOfConstraints(models.Model):
    """A model that reports violations of its unique constraints at a field."""

    class Meta:
        abstract = True

    def validate_constraints(self, exclude: Any = None) -> None:
        errors: dict[str, list[ValidationError]] = {}
        for constraint in self._meta.constraints:
            try:
                constraint.validate(type(self), self, exclude=exclude)
            except ValidationError as error:
                by_field = getattr(error, "error_dict", {field_of(constraint) or NON_FIELD_ERRORS: [error]})
                for name, found in by_field.items():
                    errors.setdefault(name, []).extend(found)
        if errors:
            raise ValidationError(errors)


def violated(error: Error) -> Known | None:
    """Return the model constraint that an ``IntegrityError`` violates; None if it is not one of the models'."""
    known = _constraints().get(constraint_named_by(error))
    if known is None and state_of(error) in FOREIGN_KEY:
        return Known(constraint_named_by(error))
    return known


@cache
def _constraints() -> dict[str, Known]:
    """Return the constraints of all models, by each name that a database uses for them."""
    found: dict[str, Known] = {}
    for model in apps.get_models():
        meta = model._meta
        for constraint in meta.constraints:
            is_unique = isinstance(constraint, UniqueConstraint) and constraint.violation_error_code == "unique"
            known = Known(constraint.name, is_unique, field_of(constraint), constraint.violation_error_message)
            found[constraint.name] = known
            if isinstance(constraint, UniqueConstraint) and constraint.fields:
                found.setdefault(_columns(model, constraint.fields), known)
        for field in meta.local_concrete_fields:
            if field.unique:
                name = f"{meta.db_table}_{'pkey' if field.primary_key else f'{field.column}_key'}"
                found[name] = found[_columns(model, [field.name])] = Known(name, is_unique=True, field=field.name)
    return found


def _columns(model: Any, names: Any) -> str:
    """Return the columns of a unique constraint in the format of SQLite's error messages."""
    return ", ".join(f"{model._meta.db_table}.{model._meta.get_field(name).column}" for name in names)
