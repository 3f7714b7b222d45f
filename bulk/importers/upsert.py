"""The importer for files whose rows each describe one object, which is created, updated or left unchanged."""

from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.functional import cached_property
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from bulk.files.csv_reader import Row
from bulk.importers.base import Importer
from bulk.importers.cell_values import parse_cell, refusals_from
from bulk.importers.unique_values import RequestedValues, plan
from bulk.models import UNDO, Import, OnError
from bulk.outcomes import ERROR, RowResult
from school.i18n.stored_messages import message_of
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

CHANGED_OUTCOMES = ("created", "updated")


class Entry(NamedTuple):
    row: Row
    instance: Any
    outcome: str


class UpsertImporter(Importer):
    """
    Imports rows that describe objects of one model.

    A column that the file lacks leaves its field unchanged; a new object has the field's default. An empty cell empties
    the field, or sets the field's default if the field cannot be empty.
    """

    model: ClassVar[type[models.Model]]
    fields: ClassVar[tuple[str, ...]]  # the columns that have the same names as their fields
    # A unique field in addition to the natural key, compared without regard to case.
    unique_field: ClassVar[str | None] = None
    # The name of the constraint of the unique field, and the names of the constraints that compare several columns of a
    # row.
    unique_constraint: ClassVar[str] = ""
    row_constraints: ClassVar[tuple[str, ...]] = ()

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        # Maps the id of an object to its value before a later row changes that value.
        self.reassigned: dict[int, str] = {}
        self.history = {"default_user": job.actor, "default_change_reason": change_reason(job)}

    @abstractmethod
    def row_key(self, cells: Mapping[str, str]) -> Hashable:
        """Return the natural key of a row."""

    @abstractmethod
    def find_existing(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        """Lock and return the existing objects of the rows, by natural key, in one query."""

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

    def before_save(self, instances: Sequence[Any]) -> None:
        """Take the locks that a change of existing objects needs, in the transaction that saves them next."""

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        """
        Apply the consequences of created or changed objects, in the same transaction; return notes on objects by id.
        """
        return {}

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
        outcome = "unchanged" if existing else "created"
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
                    outcome = "updated" if existing else outcome
        return instance, outcome, errors

    def save(self, entries: list[Entry], field_names: Sequence[str]) -> list[RowResult]:
        """
        Save the objects of all rows except those that the database refuses; return a result for each row.

        Changed objects are saved with the fields ``field_names``. Constraints within a row are checked for each row,
        conflicts of unique values are found by one query. Any other conflict is with a row that another transaction has
        committed in the meantime; it is found by bisection.
        """
        self.field_names = field_names
        refused = self._constraint_violations(entries)
        while True:
            good = [entry for entry in entries if id(entry.instance) not in refused]
            conflicts, reassigned = self._unique_conflicts(good)
            refused |= conflicts
            good = [entry for entry in good if id(entry.instance) not in refused]
            try:
                with transaction.atomic():
                    self._write(good, reassigned)
                break
            except IntegrityError:
                refused |= self._conflicts(good, reassigned)
        self.reassigned |= {pk: value for pk, value in reassigned.items() if value}
        return [
            RowResult(entry.row, ERROR, errors=tuple(refused[id(entry.instance)]))
            if id(entry.instance) in refused
            else RowResult(entry.row, entry.outcome, entry.instance.pk)
            for entry in entries
        ]

    def _write(self, entries: Sequence[Entry], reassigned: Collection[int] = ()) -> None:
        if reassigned:  # another row takes over the old value first, so this save is left out of the history
            self.model._default_manager.filter(pk__in=reassigned).update(**{str(self.unique_field): ""})
        new = [entry.instance for entry in entries if entry.outcome == "created"]
        changed = [entry.instance for entry in entries if entry.outcome == "updated"]
        for instance in new:  # an earlier attempt to save the object has set an id
            instance.pk, instance._state.adding = None, True
        if new:
            bulk_create_with_history(new, self.model, batch_size=500, **self.history)
        if changed:
            self.before_save(changed)
            bulk_update_with_history(changed, self.model, self.field_names, batch_size=200, **self.history)

    def _constraint_violations(self, entries: Sequence[Entry]) -> dict[int, list[Refusal]]:
        """Return the refusals of rows whose columns contradict each other, by ``id()`` of the row's object."""
        refused: dict[int, list[Refusal]] = {}
        constraints = [each for each in self.model._meta.constraints if each.name in self.row_constraints]
        for instance in [entry.instance for entry in entries if entry.outcome in CHANGED_OUTCOMES]:
            for constraint in constraints:
                try:
                    constraint.validate(self.model, instance)
                except ValidationError as error:
                    refused.setdefault(id(instance), []).extend(refusals_from(error))
        return refused

    def _unique_conflicts(self, entries: Sequence[Entry]) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """
        Return the refusals of rows whose unique value another object keeps, and the objects that give up their value.

        The refusals are by ``id()`` of the row's object. The objects are a mapping from the primary key to the present
        value if a later chunk of the file changes the object again, else to "".
        """
        if self.unique_field is None or self.unique_field not in self.field_names:
            return {}, {}
        released_later: dict[int, str] = {}

        def find_released(ids: Collection[int]) -> set[int]:
            released_later.update(self._released_later(ids))
            return set(released_later)

        for entry in entries:
            if entry.outcome == "created":
                entry.instance.pk = None
        requested = list({id(e.instance): e.instance for e in entries if e.outcome in CHANGED_OUTCOMES}.values())
        refused, reassigned = plan(requested, self.model, self.unique_field, find_released)
        [constraint] = [each for each in self.model._meta.constraints if each.name == self.unique_constraint]
        message = message_of(ValidationError(constraint.violation_error_message or ""))
        refusal = Refusal(str(constraint.violation_error_code), message, field=self.unique_field)
        return {id(each): [refusal] for each in refused}, {pk: released_later.get(pk, "") for pk in reassigned}

    def _released_later(self, ids: Collection[int]) -> dict[int, str]:
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

    def _conflicts(self, entries: Sequence[Entry], reassigned: Collection[int]) -> dict[int, list[Refusal]]:
        """
        Return the refusals of rows that conflict with another committed transaction, by ``id()`` of the row's object.
        """
        with transaction.atomic():
            self._write([], reassigned)
            rejected = self._find_rejected(entries)
            transaction.set_rollback(True)
        conflict = Refusal(
            "conflict", _("Another request saved a change that conflicts with this row. Import the row again.")
        )
        return {id(entry.instance): [conflict] for entry in rejected}

    def _find_rejected(self, entries: Sequence[Entry]) -> list[Entry]:
        """Write all rows except those that the database refuses; return the refused ones."""
        try:
            with transaction.atomic():
                self._write(entries)
        except IntegrityError:
            half = len(entries) // 2
            return (
                [*self._find_rejected(entries[:half]), *self._find_rejected(entries[half:])] if half else list(entries)
            )
        return []


def change_reason(job: Import) -> str:
    """Return the change reason that the history of objects has for changes by an import."""
    return f"import {job.pk}"
