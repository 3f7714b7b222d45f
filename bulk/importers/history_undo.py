"""Undoes an import of objects by their history: created objects are deleted, changed ones are restored."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.functional import cached_property

from bulk.files.csv_reader import Row
from bulk.importers.base import CHUNK_SIZE, Importer, SyntheticRows
from bulk.importers.undo_report_row_numbers import FileRowNumbers
from bulk.importers.upsert import Entry, UpsertImporter, change_reason
from bulk.models import ZIP, Import
from bulk.row_result_store import stored_results
from bulk.row_results import CHANGED_OUTCOMES, ERROR, KEPT, REVERSED, UPDATED, RowResult
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

CREATION = "+"  # the type of the first version of an object in its history


class HistoryUndo(Importer):
    """Undoes an import: generates a row for each object that it created or changed, the last one first."""

    importer_class: ClassVar[type[UpsertImporter]]

    def __init__(self, job: Import) -> None:
        super().__init__(job)
        assert job.undoes is not None  # a database constraint requires it for every undo
        self.original_import = job.undoes
        self.importer = self.importer_class(job)
        self.versions: Any = self.importer_class.model.history.model  # type: ignore[attr-defined]  # simple-history adds it

    def source(self) -> SyntheticRows:
        return SyntheticRows([*self.importer_class.key_columns], self._rows)

    def _rows(self) -> Iterator[Row]:
        query = self.versions.objects.filter(history_change_reason=change_reason(self.original_import)).order_by(
            "-history_id"
        )
        versions, number = list(query[:CHUNK_SIZE]), 1
        while versions:
            file_numbers = self._file_row_numbers.of([version.id for version in versions])
            for version in versions:
                number += 1
                yield Row(
                    number,
                    self.importer_class.natural_key(version),
                    {"id": str(version.id), "version": str(version.history_id)},
                    is_synthetic=True,
                    file_number=file_numbers.get(version.id, 0),
                )
            versions = list(query.filter(history_id__lt=versions[-1].history_id)[:CHUNK_SIZE])
        for instance in self._without_history():
            number += 1
            yield Row(
                number,
                self.importer_class.natural_key(instance),
                {"id": str(instance.pk), "version": ""},
                is_synthetic=True,
                file_number=self._file_row_numbers.of([instance.pk]).get(instance.pk, 0),
            )

    @cached_property
    def _file_row_numbers(self) -> FileRowNumbers:
        return FileRowNumbers(self.original_import, self.importer_class.kind)

    def close(self) -> None:
        if numbers := vars(self).pop("_file_row_numbers", None):
            numbers.close()

    def _without_history(self) -> Iterator[Any]:
        """
        Yield the objects that the import created or changed according to its stored results, but whose versions no
        longer exist.
        """
        part = self.importer_class.kind if self.original_import.kind == ZIP else ""
        object_ids = (
            result.object_id
            for result in stored_results(self.original_import, part=part)
            if result.outcome in CHANGED_OUTCOMES
        )
        while ids := set(islice(object_ids, CHUNK_SIZE)):
            versions = self.versions.objects.filter(
                history_change_reason=change_reason(self.original_import), id__in=ids
            )
            missing = ids - set(versions.values_list("id", flat=True))
            yield from self.importer_class.model._default_manager.filter(pk__in=missing).order_by("-pk")

    def row_keys(self, rows: Sequence[Row]) -> list[Hashable]:
        return [row.cells["id"] for row in rows]

    def apply(self, rows: Sequence[Row]) -> list[RowResult]:
        objects = self.importer.lock([int(row.cells["id"]) for row in rows])
        latest, previous = self._latest_and_previous(objects)
        results, restored = [], []
        for row in rows:
            instance = objects.get(int(row.cells["id"]))
            version: Any = latest.get(int(row.cells["id"]))
            if instance is not None and (version is None or not row.cells["version"]):
                results.append(_no_history_result(row, instance))
            elif instance is None or version.history_id != int(row.cells["version"]):
                results.append(_kept_result(row, instance, "changed_since", _("It has been changed since the import.")))
            elif version.history_type == CREATION:
                results.append(self._delete(row, instance))
            elif instance.pk not in previous:
                results.append(_no_history_result(row, instance))
            else:
                for name in self.importer_class.fields:
                    setattr(instance, name, getattr(previous[instance.pk], name))
                restored.append(Entry(row, instance, UPDATED))
        saved = self.importer.save(restored, self.importer_class.fields)
        results += [replace(each, outcome=REVERSED) if each.outcome != ERROR else each for each in saved]
        self.importer.after_save(
            [objects[each.object_id] for each in saved if each.object_id and each.outcome != ERROR]
        )
        return sorted(results, key=lambda result: result.row.number)

    def _latest_and_previous(self, ids: Collection[int]) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the newest version of each object, and the one before it."""
        latest: dict[int, Any] = {}
        previous: dict[int, Any] = {}
        for version in self.versions.objects.filter(id__in=list(ids)).order_by("history_id"):
            if version.id in latest:
                previous[version.id] = latest[version.id]
            latest[version.id] = version
        return latest, previous

    def _set_history_user(self, instance: Any) -> None:
        instance._history_user = self.importer.history["default_user"]
        instance._change_reason = self.importer.history["default_change_reason"]

    def _delete(self, row: Row, instance: Any) -> RowResult:
        if reason := self.importer.deletion_refusal(instance):
            return _kept_result(row, instance, reason.code, reason.message)
        self._set_history_user(instance)
        pk = instance.pk
        try:
            with transaction.atomic():
                instance.delete()
        except ProtectedError:
            return _kept_result(row, instance, "has_history", _("Other objects refer to it now, so it is kept."))
        return RowResult(row, REVERSED, pk)


def _no_history_result(row: Row, instance: Any) -> RowResult:
    return _kept_result(
        row, instance, "no_earlier_version", _("The version before the import is no longer in the history.")
    )


def _kept_result(row: Row, instance: Any, code: str, message: str) -> RowResult:
    return RowResult(row, KEPT, instance and instance.pk, errors=(Refusal(code, message),))
