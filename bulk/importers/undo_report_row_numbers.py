"""The row numbers in the report of an undo: those of the rows in the file of the import that is undone."""

from collections.abc import Collection

from bulk.models import ZIP, Import
from bulk.row_result_store import stored_results
from bulk.row_results import ERROR, UNCHANGED
from bulk.scratch_table import scratch_table


class FileRowNumbers:
    """The row numbers of one kind in the file of an import, by object id. Memory does not grow with the file."""

    def __init__(self, file_import: Import, kind: str) -> None:
        self.table = scratch_table("numbers (object_id INTEGER PRIMARY KEY, number INTEGER)")
        results = stored_results(file_import, part=kind if file_import.kind == ZIP else "")
        changed = (
            (result.object_id, result.number)
            for result in results
            if result.object_id and result.number and result.outcome not in (UNCHANGED, ERROR)
        )
        self.table.executemany("INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO NOTHING", changed)

    def of(self, object_ids: Collection[int]) -> dict[int, int]:
        """Return the row numbers of objects; an object without a row is left out."""
        found = (
            self.table.execute("SELECT object_id, number FROM numbers WHERE object_id = ?", (object_id,)).fetchone()
            for object_id in object_ids
        )
        return dict(each for each in found if each)

    def close(self) -> None:
        self.table.close()
