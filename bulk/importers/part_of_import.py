"""A part of an import: one file, with the importer that applies its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bulk.files.csv_reader import Row
from bulk.files.duplicate_rows import RowKeyIndex
from bulk.importers.base import CHUNK_SIZE, Importer, apply_rows, record_keys
from bulk.outcomes import RowResult


@dataclass
class ImportPart:
    """
    A part of an import: one file. The import of a zip has several parts.

    ``key_index`` has the keys of the rows that were read, so that a later row that contradicts an earlier one is found.
    """

    importer: Importer
    name: str = ""
    key_index: RowKeyIndex = field(default_factory=RowKeyIndex)

    def chunks(self) -> Iterator[list[Row]]:
        source = self.importer.source()
        for rows in source.chunks(CHUNK_SIZE):
            self.importer.resolve(rows, source)
            yield rows

    def apply(self, rows: list[Row]) -> list[RowResult]:
        return apply_rows(self.importer, rows, self.key_index)

    def skip(self, rows: list[Row]) -> None:
        """Skip rows that are already applied, and record their keys."""
        record_keys(self.importer, [row for row in rows if not row.errors], self.key_index)

    def close(self) -> None:
        self.key_index.close()
        self.importer.close()
