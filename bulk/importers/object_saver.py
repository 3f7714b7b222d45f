"""Saves objects of one model together, with their history, except those that the database refuses."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from bulk.importers.cell_values import refusals_from
from bulk.importers.unique_value_reassignment import plan
from bulk.row_results import CHANGED_OUTCOMES, CREATED, UPDATED
from school.db.bulk_writes import update_many
from school.i18n.stored_messages import message_of
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal


class ObjectEntry(Protocol):
    """An object with its new values, and the outcome if it is saved: CREATED, UPDATED or UNCHANGED."""

    @property
    def instance(self) -> Any: ...

    @property
    def outcome(self) -> str: ...


class ObjectSaver:
    """
    Saves new and changed objects of one model, in the caller's transaction.

    ``history`` has the user and the change reason of the versions in the history, as simple-history names them.
    """

    model: ClassVar[type[models.Model]]
    # A unique field in addition to the natural key, compared without regard to case.
    unique_field: ClassVar[str | None] = None
    # The name of the constraint of the unique field, and the names of the constraints that compare several columns of a
    # row.
    unique_constraint: ClassVar[str] = ""
    row_constraints: ClassVar[tuple[str, ...]] = ()
    history: dict[str, Any]
    field_names: Sequence[str]

    def find_by_keys(self, keys: Collection[Any]) -> dict[Hashable, Any]:
        """Lock and return the existing objects with these natural keys, by natural key."""
        raise NotImplementedError

    def before_save(self, instances: Sequence[Any]) -> None:
        """Take the locks that a change of existing objects needs, in the transaction that saves them next."""

    def after_save(self, instances: Sequence[Any]) -> Mapping[int, str]:
        """
        Apply the consequences of created or changed objects, in the same transaction; return notes on objects by id.
        """
        return {}

    def released_later(self, ids: Collection[int]) -> dict[int, str]:
        """
        Return the current unique values of those of these objects to which the transaction gives another value later,
        by id.
        """
        return {}

    def save_objects(
        self, entries: Sequence[ObjectEntry], field_names: Sequence[str]
    ) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """
        Save the objects except those that the database refuses. Return the refusals by ``id()`` of the object, and the
        present unique values of the objects that ``released_later`` has returned and that gave up theirs.

        Changed objects are saved with the fields ``field_names``. Constraints within a row are checked for each object,
        conflicts of unique values are found by one query. Any other conflict is with a row that another transaction has
        committed in the meantime; it is found by bisection.
        """
        self.field_names = field_names
        refused = self.constraint_violations(entries)
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
        return refused, {pk: value for pk, value in reassigned.items() if value}

    def _write(self, entries: Sequence[ObjectEntry], reassigned: Collection[int] = ()) -> None:
        if reassigned:  # another row takes over the old value first, so this save is left out of the history
            self.model._default_manager.filter(pk__in=reassigned).update(**{str(self.unique_field): ""})
        new = [entry.instance for entry in entries if entry.outcome == CREATED]
        changed = [entry.instance for entry in entries if entry.outcome == UPDATED]
        for instance in new:  # an earlier attempt to save the object has set an id
            instance.pk, instance._state.adding = None, True
        if new:
            bulk_create_with_history(new, self.model, batch_size=500, **self.history)
        if changed:
            self.before_save(changed)
            update_many(changed, self.field_names)
            bulk_update_with_history(changed, self.model, [], batch_size=500, **self.history)  # only the history

    def constraint_violations(self, entries: Sequence[ObjectEntry]) -> dict[int, list[Refusal]]:
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

    def _unique_conflicts(self, entries: Sequence[ObjectEntry]) -> tuple[dict[int, list[Refusal]], dict[int, str]]:
        """
        Return the refusals of rows whose unique value another object keeps, and the objects that give up their value.

        The refusals are by ``id()`` of the row's object. The objects are a mapping from the primary key to the present
        value if a later chunk of the file changes the object again, else to "".
        """
        if self.unique_field is None or self.unique_field not in self.field_names:
            return {}, {}
        released_later: dict[int, str] = {}

        def find_released(ids: Collection[int]) -> set[int]:
            released_later.update(self.released_later(ids))
            return set(released_later)

        for entry in entries:
            if entry.outcome == CREATED:
                entry.instance.pk = None
        requested = list({id(e.instance): e.instance for e in entries if e.outcome in CHANGED_OUTCOMES}.values())
        refused, reassigned = plan(requested, self.model, self.unique_field, find_released)
        [constraint] = [each for each in self.model._meta.constraints if each.name == self.unique_constraint]
        message = message_of(ValidationError(constraint.violation_error_message or ""))
        refusal = Refusal(str(constraint.violation_error_code), message, field=self.unique_field)
        return {id(each): [refusal] for each in refused}, {pk: released_later.get(pk, "") for pk in reassigned}

    def _conflicts(self, entries: Sequence[ObjectEntry], reassigned: Collection[int]) -> dict[int, list[Refusal]]:
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

    def _find_rejected(self, entries: Sequence[ObjectEntry]) -> list[ObjectEntry]:
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
