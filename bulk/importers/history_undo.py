"""Undoes an import of objects by their history: created objects are deleted, changed ones are restored."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import ProtectedError

from bulk.files.csv_reader import Row
from bulk.importers.base import CHUNK, Importer, MadeRows
from bulk.importers.upsert import CHANGED, Entry, UpsertImporter, reason_of
from bulk.models import ZIP, Import
from bulk.outcomes import ERROR, RowResult
from bulk.row_results import told_of
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal

REVERSED, KEPT = "reversed", "kept"
MADE = "+"


class HistoryUndo(Importer):
    """Undoes an import: generates a row for each object that it created or changed, the last one first."""

    of: ClassVar[type[UpsertImporter]]

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        assert job.undoes is not None  # a database constraint ensures it
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
        for instance in self._without_history():
            number += 1
            yield Row(number, self.of.natural_key(instance), {"id": str(instance.pk), "version": ""}, is_made=True)

    def _without_history(self) -> Iterator[Any]:
        """
        Yield the objects that the import created or changed, by its stored results, whose versions no longer exist.
        """
        part = self.of.kind if self.undone.kind == ZIP else ""
        told = (told.object_id for told in told_of(self.undone, part=part) if told.outcome in CHANGED)
        while ids := set(islice(told, CHUNK)):
            own = self.versions.objects.filter(history_change_reason=reason_of(self.undone), id__in=ids)
            missing = ids - set(own.values_list("id", flat=True))
            yield from self.of.model._default_manager.filter(pk__in=missing).order_by("-pk")

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [row.cells["id"] for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        objects = self.importer.lock([int(row.cells["id"]) for row in rows])
        own, earlier = self._versions(objects)
        results, restored = [], []
        for row in rows:
            instance = objects.get(int(row.cells["id"]))
            newest: Any = own.get(int(row.cells["id"]))
            if instance is not None and (newest is None or not row.cells["version"]):
                results.append(_no_history(row, instance))
            elif instance is None or newest.history_id != int(row.cells["version"]):
                results.append(_kept(row, instance, "changed_since", _("It has been changed since the import.")))
            elif newest.history_type == MADE:
                results.append(self._delete(row, instance))
            elif instance.pk not in earlier:
                results.append(_no_history(row, instance))
            else:
                for name in self.of.fields:
                    setattr(instance, name, getattr(earlier[instance.pk], name))
                restored.append(Entry(row, instance, "updated"))
        saved = self.importer.save(restored, self.of.fields)
        results += [replace(each, outcome=REVERSED) if each.outcome != ERROR else each for each in saved]
        self.importer.saved([objects[each.object_id] for each in saved if each.object_id and each.outcome != ERROR])
        return sorted(results, key=lambda result: result.row.number)

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
        if reason := self.importer.reason_to_keep(instance):
            return _kept(row, instance, reason.code, reason.message)
        self._sign(instance)
        pk = instance.pk
        try:
            with transaction.atomic():
                instance.delete()
        except ProtectedError:
            return _kept(row, instance, "has_history", _("Other objects refer to it now, so it is kept."))
        return RowResult(row, REVERSED, pk)


def _no_history(row: Row, instance: Any) -> RowResult:
    return _kept(row, instance, "no_earlier_version", _("The version before the import is no longer in the history."))


def _kept(row: Row, instance: Any, code: str, message: str) -> RowResult:
    return RowResult(row, KEPT, instance and instance.pk, errors=(Refusal(code, message),))
