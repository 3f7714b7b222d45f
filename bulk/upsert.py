"""Files whose rows each describe one object: made where it is new, changed where it differs, else left alone."""

from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from bulk.importing import ERROR, Importer, RowResult
from bulk.models import Import
from bulk.reading import Row
from school.refusals import Refusal

CHANGED = ("created", "updated")
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


class _Entry(NamedTuple):
    row: Row
    instance: Any
    outcome: str


class UpsertImporter(Importer):
    """
    A file of one model's rows. A column that the file lacks leaves its field as it is; an empty cell empties it,
    or gives the default where the field cannot be empty.
    """

    model: ClassVar[type[models.Model]]
    fields: ClassVar[tuple[str, ...]]  # the columns that are fields of the same name

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.history = {"default_user": job.actor, "default_change_reason": reason_of(job)}

    @abstractmethod
    def key(self, cells: Mapping[str, str]) -> Hashable:
        """Return the natural key that a row gives."""

    @abstractmethod
    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        """Lock and return the objects that the rows speak of and that exist, by natural key, in one query."""

    @abstractmethod
    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        """Lock and return the objects with these ids that exist."""

    @classmethod
    @abstractmethod
    def natural_key(cls, values: Any) -> list[str]:
        """Return the cells of ``key_columns`` for an object or an earlier version of it."""

    @abstractmethod
    def make(self, cells: Mapping[str, str]) -> Any:
        """Return a new object with its natural key; raise ``ValidationError``."""

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        """Do what follows from objects made or changed, in the same transaction; return what to say of whom, by id."""
        return {}

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [self.key(row.cells) for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        known = self.find(rows)
        refused: list[RowResult] = []
        good: list[_Entry] = []
        for row in rows:
            key = self.key(row.cells)
            instance, outcome, errors = self._read(row, known.get(key))
            if errors:
                refused.append(RowResult(row, ERROR, errors=tuple(errors)))
            else:
                known[key] = instance
                good.append(_Entry(row, instance, outcome))
        results = self._save(good)
        notes = self.saved([e.instance for e, r in zip(good, results, strict=True) if r.outcome in CHANGED])
        results = [replace(result, note=notes.get(result.object_id or 0, "")) for result in results]
        return sorted(refused + results, key=lambda result: result.row.number)

    def _read(self, row: Row, found: Any) -> tuple[Any, str, list[Refusal]]:
        """Return the object as the row wants it, what that makes of it, and every error of the row."""
        errors: list[Refusal] = []
        outcome = "unchanged" if found else "created"
        try:
            instance = found or self.make(row.cells)
        except ValidationError as error:
            instance = None
            errors += reasons(error)
        wanted = {}
        for name in self.fields:
            if name in row.cells or found is None:
                try:
                    wanted[name] = parse(self.model._meta.get_field(name), row.cells.get(name, ""))
                except ValidationError as error:
                    errors += reasons(error, field=name)
        if not errors:
            for name, value in wanted.items():
                if getattr(instance, name) != value:
                    setattr(instance, name, value)
                    outcome = "updated" if found else outcome
        return instance, outcome, errors

    def _save(self, entries: list[_Entry]) -> list[RowResult]:
        """Save all at once; where the database objects, one by one, to learn which row it objects to."""
        try:
            with transaction.atomic():
                new = [entry.instance for entry in entries if entry.outcome == "created"]
                changed = [entry.instance for entry in entries if entry.outcome == "updated"]
                if new:
                    bulk_create_with_history(new, self.model, batch_size=500, **self.history)
                if changed:
                    # Only what the file speaks of: another column may have been changed since it was read.
                    names = [name for name in self.fields if name in entries[0].row.cells]
                    bulk_update_with_history(changed, self.model, names, batch_size=200, **self.history)
        except IntegrityError:
            return [self._save_one(entry) for entry in entries]
        return [RowResult(entry.row, entry.outcome, entry.instance.pk) for entry in entries]

    def _save_one(self, entry: _Entry) -> RowResult:
        row, instance, outcome = entry
        if outcome == "created":
            instance.pk = None
            instance._state.adding = True
        instance._history_user = self.history["default_user"]
        instance._change_reason = self.history["default_change_reason"]
        try:
            with transaction.atomic():
                instance.validate_constraints()
                if outcome != "unchanged":
                    instance.save()
        except ValidationError as error:
            return RowResult(row, ERROR, errors=tuple(reasons(error)))
        except IntegrityError:
            conflict = Refusal("conflict", _("Somebody else saved something in the way of this row."))
            return RowResult(row, ERROR, errors=(conflict,))
        return RowResult(row, outcome, instance.pk)


def reason_of(job: Import) -> str:
    """Return what the history of objects says of the import that changed them."""
    return f"import {job.pk}"


def parse(field: Any, text: str) -> Any:
    """Return a cell as the value of a model's field; raise ``ValidationError``."""
    if not text:
        if field.has_default():
            return field.get_default()
        return field.clean(None if field.null else "", None)
    if isinstance(field, models.BooleanField):
        if text.lower() not in TRUE + FALSE:
            raise ValidationError(_("Write true or false."), code="invalid")
        return text.lower() in TRUE
    value = field.clean(text, None)
    if isinstance(value, datetime) and timezone.is_naive(value):
        value = timezone.make_aware(value)
    return value


def reasons(error: ValidationError, field: str | None = None) -> list[Refusal]:
    """Return every reason of a ``ValidationError``."""
    named: list[tuple[str | None, ValidationError]]
    if hasattr(error, "error_dict"):
        named = [(name, each) for name, errors in error.error_dict.items() for each in errors]
    else:
        named = [(field, each) for each in error.error_list]
    return [
        Refusal(each.code or "invalid", " ".join(each.messages), field=None if name == "__all__" else name)
        for name, each in named
    ]
