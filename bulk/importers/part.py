"""One file of an import, with its importer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bulk.files.csv_reader import Row
from bulk.files.duplicate_rows import RowKeyIndex
from bulk.importers.base import CHUNK, Importer, apply_rows, note_keys
from bulk.outcomes import RowResult


@dataclass
class Part:
    """One file of an import; a zip has several. ``first_rows`` records the keys of its rows."""

    importer: Importer
    name: str = ""
    first_rows: RowKeyIndex = field(default_factory=RowKeyIndex)

    def chunks(self) -> Iterator[list[Row]]:
        source = self.importer.source()
        for rows in source.chunks(CHUNK):
            self.importer.resolve(rows, source)
            yield rows

    def apply(self, rows: list[Row]) -> list[RowResult]:
        return apply_rows(self.importer, rows, self.first_rows)

    def skip(self, rows: list[Row]) -> None:
        """Skip rows that are already applied, and record their keys."""
        note_keys(self.importer, [row for row in rows if not row.errors], self.first_rows)

    def close(self) -> None:
        self.first_rows.close()
        self.importer.close()
