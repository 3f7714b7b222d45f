"""The importer for files whose rows each describe one object, which is created, updated or left unchanged."""

from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

from bulk.files.csv_reader import Row
from bulk.importers.base import Importer
from bulk.importers.cell_values import parse_cell, refusals_from
from bulk.importers.object_saver import ObjectSaver
from bulk.importers.unique_value_reassignment import RequestedValues
from bulk.models import UNDO, Import, OnError
from bulk.row_results import CHANGED_OUTCOMES, CREATED, ERROR, UNCHANGED, UPDATED, RowResult
from school.refusals import Refusal


class Entry(NamedTuple):
    row: Row
    instance: Any
    outcome: str


class UpsertImporter(ObjectSaver, Importer):
    """
    Imports rows that describe objects of one model.

    A column that the file lacks leaves its field unchanged; a new object has the field's default. An empty cell empties
    the field, or sets the field's default if the field cannot be empty.
    """

    fields: ClassVar[tuple[str, ...]]  # the columns that have the same names as their fields

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        # Maps the id of an object to its value before a later row changes that value.
        self.reassigned: dict[int, str] = {}
        self.history = {"default_user": job.actor, "default_change_reason": change_reason(job)}

    @abstractmethod
    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        """Return the natural key of a row."""

    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        """Lock and return the existing objects of the rows, by natural key, in one query."""
        return self.find_by_keys({self.row_key(row.cells) for row in rows})

    @abstractmethod
    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        """Lock and return the existing objects with these ids, by id."""

    @classmethod
    @abstractmethod
    def natural_key(cls, values: Any) -> list[str]:
        """Return the cells of ``key_columns`` for an object or an earlier version of it."""

    @abstractmethod
    def build(self, cells: Mapping[str, str]) -> Any:
        """Return a new object with its natural key; raise ``ValidationError``."""

    def deletion_refusal(self, instance: Any) -> Refusal | None:
        """
        Return a reason why an object cannot be deleted, other than the rows that belong to it; None if there is no such
        reason.
        """
        return None

    @property
    def defaults(self) -> Mapping[str, str]:
        """The default cells, by column, of new objects whose row has none."""
        return {}

    def normalize_cells(self, cells: dict[str, str]) -> list[Refusal]:
        """Convert values of other systems to the cells of the fields, in place; return errors for unknown values."""
        return []

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [("unresolved", row.number) if row.unresolved else self.row_key(row.cells) for row in rows]

    def begin_transaction(self) -> None:
        self.reassigned = {}

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        existing = self.find_existing(rows)
        for instance in existing.values():
            if instance.pk in self.reassigned:  # this is the value before the import, with which rows are compared
                setattr(instance, str(self.unique_field), self.reassigned[instance.pk])
        refused: list[RowResult] = []
        good: list[Entry] = []
        for row in rows:
            key = self.row_key(row.cells)
            instance, outcome, errors = self._parse_row(row, None if row.unresolved else existing.get(key))
            if errors:
                refused.append(RowResult(row, ERROR, errors=tuple(errors)))
            else:
                existing[key] = instance
                good.append(Entry(row, instance, outcome))
        # Save only the columns of the file, because another column may have changed since the object was read.
        field_names = [name for name in self.fields if good and name in good[0].row.cells]
        results = self.save(good, field_names)
        notes = self.after_save(
            [e.instance for e, r in zip(good, results, strict=True) if r.outcome in CHANGED_OUTCOMES]
        )
        results = [replace(result, note=notes.get(result.object_id or 0, "")) for result in results]
        return sorted(refused + results, key=lambda result: result.row.number)

    def _parse_row(self, row: Row, existing: Any) -> tuple[Any, str, list[Refusal]]:
        """Return the object with the values of the row, the outcome, and every error of the row."""
        errors = [*row.unresolved, *self.normalize_cells(row.cells)]
        outcome = UNCHANGED if existing else CREATED
        instance = existing
        is_new = existing is None and not row.unresolved  # the key of a row with unresolved references is unknown
        try:
            instance = self.build(row.cells) if is_new else existing
        except ValidationError as error:
            errors += refusals_from(error)
        new_values = {}
        faulty_fields = {error.field for error in errors}
        for name in self.fields:
            if (name in row.cells or is_new) and name not in faulty_fields:
                field: Any = self.model._meta.get_field(name)
                cell = row.cells.get(name, "") or ("" if existing else self.defaults.get(name, ""))
                if not cell and name not in row.cells and field.has_default():
                    new_values[name] = field.get_default()
                    continue
                try:
                    new_values[name] = parse_cell(field, cell)
                except ValidationError as error:
                    errors += refusals_from(error, field=name)
        if not errors:
            for name, value in new_values.items():
                if getattr(instance, name) != value:
                    setattr(instance, name, value)
                    outcome = UPDATED if existing else outcome
        return instance, outcome, errors

    def save(self, entries: list[Entry], field_names: Sequence[str]) -> list[RowResult]:
        """Save the objects of all rows except those that are refused; return a result for each row."""
        refused, reassigned = self.save_objects(entries, field_names)
        self.reassigned |= reassigned
        return [
            RowResult(entry.row, ERROR, errors=tuple(refused[id(entry.instance)]))
            if id(entry.instance) in refused
            else RowResult(entry.row, entry.outcome, entry.instance.pk)
            for entry in entries
        ]

    def released_later(self, ids: Collection[int]) -> dict[int, str]:
        """
        Return the current values of the objects to which a later chunk of the file gives another value, by id.

        Empty unless the file is applied as a whole: if rows with errors are skipped, each chunk is independent of the
        others.
        """
        if not ids or self.job.on_error != OnError.ABORT or self.job.kind == UNDO:
            return {}
        field = str(self.unique_field)
        objects = self.model._default_manager.filter(pk__in=ids)
        current_values = {each.pk: getattr(each, field) for each in objects}
        keys = {
            each.pk: self.row_key(dict(zip(self.key_columns, self.natural_key(each), strict=True))) for each in objects
        }
        reassigned_ids = self.requested_values.with_other_value(
            {pk: (keys[pk], value.lower()) for pk, value in current_values.items()}
        )
        return {pk: current_values[pk] for pk in reassigned_ids}

    @cached_property
    def requested_values(self) -> RequestedValues:
        """The unique values that the rows of the whole file want."""
        name = str(self.unique_field)
        field: Any = self.model._meta.get_field(name)
        rows = (row for row in self.reopen().source() if not row.errors and name in row.cells)
        return RequestedValues((self.row_key(row.cells), field.to_python(row.cells[name]).lower()) for row in rows)


def change_reason(job: Import) -> str:
    """Return the change reason that the history of objects has for changes by an import."""
    return f"import {job.pk}"
