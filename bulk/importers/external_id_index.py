"""An index of the ids that the other files of a zip use for the rows of a file, and of the keys of the rows."""

from collections.abc import Iterable
from typing import NamedTuple

from bulk.scratch_table import scratch_table


class RowId(NamedTuple):
    """
    The id that other files use for a row, and the key of the row.

    ``namespace`` is the column that has the id: equal ids of different columns are different ids.
    """

    namespace: str
    id: str
    key: str
    number: int


class RowIdIndex:
    """The ids and keys of a file's rows. Memory does not grow with the file."""

    def __init__(self) -> None:
        self.table = scratch_table(
            "ids (namespace TEXT, id TEXT, key TEXT, number INTEGER, PRIMARY KEY (namespace, id, key))"
        )
        self.table.execute("CREATE INDEX ids_by_key ON ids (namespace, key, id, number)")

    def close(self) -> None:
        self.table.close()

    def add(self, row_ids: Iterable[RowId]) -> None:
        """Add ids. Of several rows with the same id and key the first one counts."""
        self.table.executemany("INSERT INTO ids VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row_ids)

    def keys(self, namespace: str, row_id: str) -> dict[str, int]:
        """Return the keys that an id stands for, each with the number of its row."""
        return dict(self._rows("SELECT key, number FROM ids WHERE namespace = ? AND id = ?", namespace, row_id))

    def ids(self, namespace: str, key: str) -> dict[str, int]:
        """Return the ids that stand for a key, each with the number of its row."""
        return dict(self._rows("SELECT id, number FROM ids WHERE namespace = ? AND key = ?", namespace, key))

    def _rows(self, query: str, *values: str) -> list[tuple[str, int]]:
        return self.table.execute(f"{query} ORDER BY number", values).fetchall()
