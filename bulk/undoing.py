"""Taking back an import whose rows are objects, by their history: made ones are deleted, changed ones are restored."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from bulk.importing import CHUNK, ERROR, Importer, MadeRows, RowResult
from bulk.models import Import
from bulk.reading import Row
from bulk.upsert import UpsertImporter, reason_of, reasons
from school.refusals import Refusal

REVERSED, KEPT = "reversed", "kept"
MADE = "+"


class HistoryUndo(Importer):
    """A row for each object that the import made or changed, the last one first."""

    of: ClassVar[type[UpsertImporter]]

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        assert job.undoes is not None  # a constraint says so
        self.undone = job.undoes
        self.importer = self.of(job)
        self.versions: Any = self.of.model.history.model  # type: ignore[attr-defined]  # simple-history adds it

    def source(self) -> MadeRows:
        return MadeRows([*self.of.key_columns], self._rows)

    def _rows(self) -> Iterator[Row]:
        own = self.versions.objects.filter(history_change_reason=reason_of(self.undone)).order_by("-history_id")
        versions, number = list(own[:CHUNK]), 1
        while versions:
            for version in versions:
                number += 1
                cells = {"id": str(version.id), "version": str(version.history_id)}
                yield Row(number, self.of.natural_key(version), cells, is_made=True)
            versions = list(own.filter(history_id__lt=versions[-1].history_id)[:CHUNK])

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [row.cells["id"] for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        objects = self.importer.lock([int(row.cells["id"]) for row in rows])
        own, earlier = self._versions(objects)
        results, restored = [], []
        for row in rows:
            instance = objects.get(int(row.cells["id"]))
            if instance is None or own[instance.pk].history_id != int(row.cells["version"]):
                results.append(_kept(row, instance, "changed_since", _("It has been changed since.")))
            elif own[instance.pk].history_type == MADE:
                results.append(self._delete(row, instance))
            else:
                results.append(self._restore(row, instance, earlier[instance.pk]))
                restored += [instance] if results[-1].outcome == REVERSED else []
        self.importer.saved(restored)
        return results

    def _versions(self, ids: Collection[int]) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the newest version of each object, and the one before it."""
        newest: dict[int, Any] = {}
        earlier: dict[int, Any] = {}
        for version in self.versions.objects.filter(id__in=list(ids)).order_by("history_id"):
            if version.id in newest:
                earlier[version.id] = newest[version.id]
            newest[version.id] = version
        return newest, earlier

    def _sign(self, instance: Any) -> None:
        instance._history_user = self.importer.history["default_user"]
        instance._change_reason = self.importer.history["default_change_reason"]

    def _delete(self, row: Row, instance: Any) -> RowResult:
        self._sign(instance)
        pk = instance.pk
        try:
            with transaction.atomic():
                instance.delete()
        except ProtectedError:
            return _kept(row, instance, "has_history", _("It has history by now, which is kept."))
        return RowResult(row, REVERSED, pk)

    def _restore(self, row: Row, instance: Any, version: Any) -> RowResult:
        self._sign(instance)
        for name in self.of.fields:
            setattr(instance, name, getattr(version, name))
        try:
            with transaction.atomic():
                instance.validate_constraints()
                instance.save()
        except ValidationError as error:
            return RowResult(row, ERROR, instance.pk, errors=tuple(reasons(error)))
        except IntegrityError:
            conflict = Refusal("conflict", _("Somebody else saved something in the way of this row."))
            return RowResult(row, ERROR, instance.pk, errors=(conflict,))
        return RowResult(row, REVERSED, instance.pk)


def _kept(row: Row, instance: Any, code: str, message: str) -> RowResult:
    return RowResult(row, KEPT, instance and instance.pk, errors=(Refusal(code, message),))
