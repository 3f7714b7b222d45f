"""The importer for files whose rows each describe one object, which is created, updated or left unchanged."""

import re
from abc import abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.functional import cached_property
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from bulk.files.csv_reader import Row
from bulk.importers.base import Importer
from bulk.importers.unique_values import WantedLater, plan
from bulk.models import UNDO, Import, OnError
from bulk.outcomes import ERROR, RowResult
from school.i18n.stored_messages import message_of
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

CHANGED = ("created", "updated")
# Booleans as spreadsheets and people write them, in the languages that School supports.
TRUE = ("true", "yes", "y", "1", "x", "wahr", "ja", "verdadero", "sí", "si")
FALSE = ("false", "no", "n", "0", "falsch", "nein", "falso")
_DAY_AND_TIME = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}[Tt ]\d{1,2}:\d{2}(:\d{2}([.,]\d{1,6})?)?[ ]?([Zz]|[+-]\d{2}(:?\d{2})?)?"
)
_WHOLE = re.compile(r"([+-]?[0-9]+)([.,]0{1,2})?")  # a spreadsheet may show a whole number with decimals


class Entry(NamedTuple):
    row: Row
    instance: Any
    outcome: str


class UpsertImporter(Importer):
    """
    Imports rows that describe objects of one model.

    A column that the file lacks leaves its field unchanged. An empty cell empties the field, or sets the field's
    default.
    """

    model: ClassVar[type[models.Model]]
    fields: ClassVar[tuple[str, ...]]  # the columns that are fields of the same name
    unique_field: ClassVar[str | None] = None  # in addition to the natural key; compared without regard to case
    # Names of constraints: the one that makes the unique field unique, and those that compare several columns of a row.
    unique_constraint: ClassVar[str] = ""
    row_constraints: ClassVar[tuple[str, ...]] = ()

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        self.handed_on: dict[int, str] = {}  # by id, the values of objects to which later rows give another one
        self.history = {"default_user": job.actor, "default_change_reason": reason_of(job)}

    @abstractmethod
    def key(self, cells: Mapping[str, str]) -> Hashable:
        """Return the natural key of a row."""

    @abstractmethod
    def find(self, rows: Sequence[Row]) -> dict[Hashable, Any]:
        """Lock and return the existing objects of the rows, by natural key, in one query."""

    @abstractmethod
    def lock(self, ids: Collection[int]) -> dict[int, Any]:
        """Lock and return the existing objects with these ids, by id."""

    @classmethod
    @abstractmethod
    def natural_key(cls, values: Any) -> list[str]:
        """Return the cells of ``key_columns`` for an object or an earlier version of it."""

    @abstractmethod
    def make(self, cells: Mapping[str, str]) -> Any:
        """Return a new object with its natural key; raise ``ValidationError``."""

    def saving(self, instances: Sequence[Any]) -> None:
        """Take the locks that a change of existing objects needs, in the transaction that saves them next."""

    def saved(self, instances: Sequence[Any]) -> Mapping[int, str]:
        """
        Apply the consequences of created or changed objects, in the same transaction; return notes on objects by id.
        """
        return {}

    def reason_to_keep(self, instance: Any) -> Refusal | None:
        """
        Return a reason why an object cannot be deleted, apart from the rows that belong to it; None if there is none.
        """
        return None

    @property
    def defaults(self) -> Mapping[str, str]:
        """The default cells, by column, of new objects whose row has none."""
        return {}

    def interpret(self, cells: dict[str, str]) -> list[Refusal]:
        """Convert the words of other systems to the cells of the fields, in place; return errors for unknown words."""
        return []

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [("unresolved", row.number) if row.unresolved else self.key(row.cells) for row in rows]

    def begin(self) -> None:
        self.handed_on = {}

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        known = self.find(rows)
        for instance in known.values():
            if instance.pk in self.handed_on:  # rows are compared with the value from before the file
                setattr(instance, str(self.unique_field), self.handed_on[instance.pk])
        refused: list[RowResult] = []
        good: list[Entry] = []
        for row in rows:
            key = self.key(row.cells)
            instance, outcome, errors = self._read(row, None if row.unresolved else known.get(key))
            if errors:
                refused.append(RowResult(row, ERROR, errors=tuple(errors)))
            else:
                known[key] = instance
                good.append(Entry(row, instance, outcome))
        # Only the columns of the file: another column may have been changed since the object was read.
        names = [name for name in self.fields if good and name in good[0].row.cells]
        results = self.save(good, names)
        notes = self.saved([e.instance for e, r in zip(good, results, strict=True) if r.outcome in CHANGED])
        results = [replace(result, note=notes.get(result.object_id or 0, "")) for result in results]
        return sorted(refused + results, key=lambda result: result.row.number)

    def _read(self, row: Row, found: Any) -> tuple[Any, str, list[Refusal]]:
        """Return the object with the values of the row, the outcome, and every error of the row."""
        errors = [*row.unresolved, *self.interpret(row.cells)]
        outcome = "unchanged" if found else "created"
        instance = found
        is_new = found is None and not row.unresolved  # unknown for a row with unresolved references
        try:
            instance = self.make(row.cells) if is_new else found
        except ValidationError as error:
            errors += reasons(error)
        wanted = {}
        faulty = {error.field for error in errors}
        for name in self.fields:
            if (name in row.cells or is_new) and name not in faulty:
                cell = row.cells.get(name, "") or ("" if found else self.defaults.get(name, ""))
                try:
                    wanted[name] = parse(self.model._meta.get_field(name), cell)
                except ValidationError as error:
                    errors += reasons(error, field=name)
        if not errors:
            for name, value in wanted.items():
                if getattr(instance, name) != value:
                    setattr(instance, name, value)
                    outcome = "updated" if found else outcome
        return instance, outcome, errors

    def save(self, entries: list[Entry], names: Sequence[str]) -> list[RowResult]:
        """
        Save the objects of all rows except those that the database refuses; return a result for each row.

        Changed objects are saved with the fields ``names``. Constraints within a row are checked for each row,
        conflicts of unique values are found by one query. Any other conflict comes from another transaction that has
        committed in the meantime, and is found by bisection.
        """
        self.names = names
        refused = self._broken_constraints(entries)
        while True:
            good = [entry for entry in entries if id(entry.instance) not in refused]
            clashes, handed_on = self._constraint_errors(good)
            refused |= clashes
            good = [entry for entry in good if id(entry.instance) not in refused]
            try:
                with transaction.atomic():
                    self._write(good, handed_on)
                break
            except IntegrityError:
                refused |= self._conflicts(good, handed_on)
        self.handed_on |= {pk: value for pk, value in handed_on.items() if value}
        return [
            RowResult(entry.row, ERROR, errors=tuple(refused[id(entry.instance)]))
            if id(entry.instance) in refused
            else RowResult(entry.row, entry.outcome, entry.instance.pk)
            for entry in entries
        ]

    def _write(self, entries: Sequence[Entry], handed_on: Collection[int] = ()) -> None:
        if handed_on:  # another row takes over the value first; the history has only the object's new value
            self.model._default_manager.filter(pk__in=handed_on).update(**{str(self.unique_field): ""})
        new = [entry.instance for entry in entries if entry.outcome == "created"]
        changed = [entry.instance for entry in entries if entry.outcome == "updated"]
        for instance in new:  # an earlier attempt has set an id
            instance.pk, instance._state.adding = None, True
        if new:
            bulk_create_with_history(new, self.model, batch_size=500, **self.history)
        if changed:
            self.saving(changed)
            bulk_update_with_history(changed, self.model, self.names, batch_size=200, **self.history)

    def _broken_constraints(self, entries: Sequence[Entry]) -> dict[int, list[Refusal]]:
        """Return the refusals of rows whose columns contradict each other, by ``id()`` of the row's object."""
        refused: dict[int, list[Refusal]] = {}
        constraints = [each for each in self.model._meta.constraints if each.name in self.row_constraints]
        for instance in [entry.instance for entry in entries if entry.outcome in CHANGED]:
            for constraint in constraints:
                try:
                    constraint.validate(self.model, instance)
                except ValidationError as error:
                    refused.setdefault(id(instance), []).extend(reasons(error))
        return refused

    def _constraint_errors(self, entries: Sequence[Entry]) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """
        Return the refusals of rows whose unique value another object keeps, and the objects that give up their value.

        The refusals are by ``id()`` of the row's object. The objects are by primary key, with their value if a later
        chunk of the file gives them another one, else with "" as the value.
        """
        if self.unique_field is None or self.unique_field not in self.names:
            return {}, {}
        later: dict[int, str] = {}

        def gives_up(ids: Collection[int]) -> set[int]:
            later.update(self._given_up_later(ids))
            return set(later)

        for entry in entries:
            if entry.outcome == "created":
                entry.instance.pk = None
        wanted = list({id(e.instance): e.instance for e in entries if e.outcome in CHANGED}.values())
        refused, handed_on = plan(wanted, self.model, self.unique_field, gives_up)
        [constraint] = [each for each in self.model._meta.constraints if each.name == self.unique_constraint]
        message = message_of(ValidationError(constraint.violation_error_message or ""))
        refusal = Refusal(str(constraint.violation_error_code), message, field=self.unique_field)
        return {id(each): [refusal] for each in refused}, {pk: later.get(pk, "") for pk in handed_on}

    def _given_up_later(self, ids: Collection[int]) -> dict[int, str]:
        """
        Return the current values of the objects to which a later chunk of the file gives another value, by id.

        Empty unless the file is applied as a whole: if rows with errors are skipped, each chunk is independent of the
        others.
        """
        if not ids or self.job.on_error != OnError.ABORT or self.job.kind == UNDO:
            return {}
        field = str(self.unique_field)
        objects = self.model._default_manager.filter(pk__in=ids)
        held = {each.pk: getattr(each, field) for each in objects}
        keys = {each.pk: self.key(dict(zip(self.key_columns, self.natural_key(each), strict=True))) for each in objects}
        differs = self.wanted_later.differs({pk: (keys[pk], value.lower()) for pk, value in held.items()})
        return {pk: held[pk] for pk in differs}

    @cached_property
    def wanted_later(self) -> WantedLater:
        """The unique values that the rows of the whole file want."""
        name = str(self.unique_field)
        field: Any = self.model._meta.get_field(name)
        rows = (row for row in self.reopen().source() if not row.errors and name in row.cells)
        return WantedLater((self.key(row.cells), field.to_python(row.cells[name]).lower()) for row in rows)

    def _conflicts(self, entries: Sequence[Entry], handed_on: Collection[int]) -> dict[int, list[Refusal]]:
        """
        Return the refusals of rows that conflict with another committed transaction, by ``id()`` of the row's object.
        """
        with transaction.atomic():
            self._write([], handed_on)
            found = self._objected(entries)
            transaction.set_rollback(True)
        conflict = Refusal("conflict", _("Somebody else saved something in the way of this row."))
        return {id(entry.instance): [conflict] for entry in found}

    def _objected(self, entries: Sequence[Entry]) -> list[Entry]:
        """Write all rows except those that the database refuses, and return these."""
        try:
            with transaction.atomic():
                self._write(entries)
        except IntegrityError:
            half = len(entries) // 2
            return [*self._objected(entries[:half]), *self._objected(entries[half:])] if half else list(entries)
        return []


def reason_of(job: Import) -> str:
    """Return the change reason that the history of objects has for changes by an import."""
    return f"import {job.pk}"


def read_activity(cells: dict[str, str], statuses: Mapping[str, bool]) -> list[Refusal]:
    """
    Set ``is_active`` from the columns ``is_active``, ``status`` and ``enabled_user``.

    Canvas and OneRoster have the latter two. An object is active unless a column says otherwise. Return errors for
    values that are not understood.
    """
    if "status" not in cells and "enabled_user" not in cells:
        return []
    said, errors = [], []
    for name in ("is_active", "status", "enabled_user"):
        cell = cells.get(name, "")
        try:
            if cell and name == "status":
                said.append(_activity(cell, statuses))
            elif cell:
                said.append(_boolean(cell))
        except ValidationError as error:
            errors += reasons(error, field=name)
    cells["is_active"] = str(all(said)).lower() if said else ""
    return errors


def _activity(status: str, statuses: Mapping[str, bool]) -> bool:
    if status.lower() not in statuses:
        message = _("%(status)s is none of: %(choices)s.") % {"status": status, "choices": ", ".join(statuses)}
        raise ValidationError(message, code="invalid_choice")
    return statuses[status.lower()]


def parse(field: Any, text: str) -> Any:
    """Return the value of a model's field for the text of a cell; raise ``ValidationError``."""
    if not text:
        if field.has_default():
            return field.get_default()
        return field.clean(None if field.null else "", None)
    match field:
        case models.BooleanField():
            return _boolean(text)
        case models.IntegerField():
            return field.clean(_whole_number(text), None)
        case models.DateTimeField():
            return _instant(text, field.clean(text, None))
    if field.choices:
        text = next((value for value, _label in field.choices if value.casefold() == text.casefold()), text)
    return field.clean(text, None)


def _boolean(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValidationError(_("Write true or false."), code="invalid")
    return text.lower() in TRUE


def _whole_number(text: str) -> str:
    """Return the digits of a whole number. A number such as 1,000 is refused: it could mean one or a thousand."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        message = _("%(value)s is no whole number. Write digits only, 1000 for example.") % {"value": text}
        raise ValidationError(message, code="invalid")
    return match[1]


def _instant(text: str, value: datetime) -> datetime:
    """
    Return an aware datetime. A text without an offset is in ``TIME_ZONE``, where it must exist and be unambiguous.

    Python accepts texts that are not a day and a time: it reads a day alone as midnight, and 09.30 as 9 h and 0.3 s.
    """
    if not _DAY_AND_TIME.fullmatch(text):
        message = _("Write the day and the time of day, as in %(example)s.") % {"example": "2026-08-01 09:00"}
        raise ValidationError(message, code="invalid")
    if not timezone.is_naive(value):
        return value
    first, second = (timezone.make_aware(value.replace(fold=fold)) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        exists = first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) == value
        message = (
            _("%(value)s occurs twice in %(zone)s, when clocks are set back: add the offset, as in %(example)s.")
            if exists
            else _("%(value)s does not exist in %(zone)s, where clocks are set forward: %(example)s for example does.")
        )
        parts = {"value": value, "zone": timezone.get_default_timezone_name(), "example": first.isoformat(" ")}
        if not exists:
            parts["example"] = first.astimezone(UTC).astimezone(first.tzinfo).isoformat(" ")
        raise ValidationError(message % parts, code="ambiguous_timezone")
    return first


def reasons(error: ValidationError, field: str | None = None) -> list[Refusal]:
    """Return a refusal for each message of a ``ValidationError``."""
    named: list[tuple[str | None, ValidationError]]
    if hasattr(error, "error_dict"):
        named = [(name, each) for name, errors in error.error_dict.items() for each in errors]
    else:
        named = [(field, each) for each in error.error_list]
    return [
        Refusal(each.code or "invalid", message_of(each), field=None if name == "__all__" else name)
        for name, each in named
    ]
