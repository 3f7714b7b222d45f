"""Finds the objects that ids of OneRoster stand for, in the earlier zips of the same dataset."""

from collections.abc import Collection

from bulk.files.csv_reader import UnreadableFile
from bulk.importers.import_parts import parts_of
from bulk.models import ZIP, Import, State
from bulk.row_result_store import stored_results

MAX_ZIPS = 50  # the maximum number of earlier zips that are searched, the newest first


class EarlierIds:
    """
    The objects of a kind in the zips of OneRoster that the dataset of an import has applied before.

    A delta refers to records that only earlier zips have. School stores no ids of other systems, but each import has
    its file, and the object of each of its rows, until its retention period ends.
    """

    def __init__(self, job: Import, kind: str) -> None:
        self.job = job
        self.kind = kind
        self.found: dict[str, int | None] = {}

    def object_ids(self, ids: Collection[str]) -> dict[str, int]:
        """Return the ids of the objects that ids of OneRoster stand for, as far as they are known."""
        wanted = {each for each in ids if each not in self.found}
        self.found |= dict.fromkeys(wanted)
        if wanted:
            states = (State.DONE, State.DONE_WITH_ERRORS, State.PARTLY_UNDONE)
            jobs = Import.objects.of_dataset(self.job.dataset_key).filter(kind=ZIP, discarded_at=None, state__in=states)
            for earlier in jobs.filter(pk__lt=self.job.pk).order_by("-pk")[:MAX_ZIPS]:
                found = self._object_ids_in(earlier, wanted)
                self.found |= found
                wanted -= found.keys()
                if not wanted:
                    break
        return {each: object_id for each in ids if (object_id := self.found[each])}

    def _object_ids_in(self, earlier: Import, ids: Collection[str]) -> dict[str, int]:
        try:
            parts = [part for part in parts_of(earlier) if part.name == self.kind and part.importer.manifest]
            rows = {
                row.number: row.cells["sourced_id"]
                for part in parts
                for row in part.importer.table()
                if not row.errors and row.cells["sourced_id"] in ids
            }
        except UnreadableFile:
            return {}
        results = stored_results(earlier, part=self.kind) if rows else ()
        return {rows[each.number]: each.object_id for each in results if each.number in rows and each.object_id}
