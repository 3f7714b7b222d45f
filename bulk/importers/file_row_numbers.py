"""The row of the file for each object that an import has changed, for the report of its undo."""

from collections.abc import Collection

from bulk.files.temporary_table import temporary_table
from bulk.models import ZIP, Import
from bulk.outcomes import ERROR
from bulk.row_results import stored_results

UNCHANGED = "unchanged"


class FileRowNumbers:
    """The row numbers of one kind in the file of an import, by object id. Memory does not grow with the file."""

    def __init__(self, file_import: Import, kind: str) -> None:
        self.table = temporary_table("numbers (object_id INTEGER PRIMARY KEY, number INTEGER)")
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
