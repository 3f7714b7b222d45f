"""Database constraints of the models: the field of each, and the constraint that an ``IntegrityError`` violates."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from django.apps import apps
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DEFAULT_DB_ALIAS, Error, models
from django.db.models import CheckConstraint, F, UniqueConstraint

from school.db.loggable_error_details import constraint_name_of, sqlstate_of

FOREIGN_KEY_STATES = {"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"}


@dataclass(frozen=True, slots=True)
class ConstraintInfo:
    """A constraint of a model: its name and, if it is unique, its field and the error message for a duplicate."""

    name: str
    is_unique: bool = False
    field: str | None = None
    message: Any = None


def constraint_field(constraint: Any) -> str | None:
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


class RowConstraint(CheckConstraint):
    """
    A check constraint that validates without a query, because imports and batches check many rows together.

    ``holds`` says of an instance whether the constraint holds. It is not checked if one of ``fields`` is excluded.
    """

    def __init__(self, *, holds: Callable[[Any], bool], fields: Collection[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self.holds, self.fields = holds, fields

    def deconstruct(self) -> Any:
        _path, args, kwargs = super().deconstruct()
        return "django.db.models.CheckConstraint", args, kwargs

    def clone(self) -> Self:
        _path, args, kwargs = self.deconstruct()
        return type(self)(*args, holds=self.holds, fields=self.fields, **kwargs)

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = DEFAULT_DB_ALIAS) -> None:
        if not set(self.fields).intersection(exclude or ()) and not self.holds(instance):
            raise ValidationError(self.get_violation_error_message(), code=self.violation_error_code)


class ConstraintErrorsByField(models.Model):
    """A model that reports violations of its unique constraints at a field."""

    class Meta:
        abstract = True

    def validate_constraints(self, exclude: Any = None, names: Collection[str] | None = None) -> None:
        """Raise ``ValidationError`` if a constraint is violated: all are checked, or those with these names."""
        errors: dict[str, list[ValidationError]] = {}
        for constraint in self._meta.constraints:
            if names is not None and constraint.name not in names:
                continue
            try:
                constraint.validate(type(self), self, exclude=exclude)
            except ValidationError as error:
                by_field = getattr(error, "error_dict", {constraint_field(constraint) or NON_FIELD_ERRORS: [error]})
                for name, field_errors in by_field.items():
                    errors.setdefault(name, []).extend(field_errors)
        if errors:
            raise ValidationError(errors)


def violated_constraint(error: Error) -> ConstraintInfo | None:
    """Return the model constraint that an ``IntegrityError`` violates; None if it is not one of the models'."""
    constraint = _constraints_by_name().get(constraint_name_of(error))
    if constraint is None and sqlstate_of(error) in FOREIGN_KEY_STATES:
        return ConstraintInfo(constraint_name_of(error))
    return constraint


@cache
def _constraints_by_name() -> dict[str, ConstraintInfo]:
    """Return the constraints of all models, by each name that a database uses for them."""
    by_name: dict[str, ConstraintInfo] = {}
    for model in apps.get_models():
        meta = model._meta
        for constraint in meta.constraints:
            is_unique = isinstance(constraint, UniqueConstraint) and constraint.violation_error_code == "unique"
            info = ConstraintInfo(
                constraint.name, is_unique, constraint_field(constraint), constraint.violation_error_message
            )
            by_name[constraint.name] = info
            if isinstance(constraint, UniqueConstraint) and constraint.fields:
                by_name.setdefault(_sqlite_columns(model, constraint.fields), info)
        for field in meta.local_concrete_fields:
            if field.unique:
                name = f"{meta.db_table}_{'pkey' if field.primary_key else f'{field.column}_key'}"
                by_name[name] = by_name[_sqlite_columns(model, [field.name])] = ConstraintInfo(
                    name, is_unique=True, field=field.name
                )
    return by_name


def _sqlite_columns(model: Any, names: Any) -> str:
    """Return the columns of a unique constraint in the format of SQLite's error messages."""
    return ", ".join(f"{model._meta.db_table}.{model._meta.get_field(name).column}" for name in names)
