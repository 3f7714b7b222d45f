"""References between the files of a zip: the ids that other files use for the rows of a file."""

from collections.abc import Iterable
from typing import NamedTuple

from bulk.files.temporary_table import temporary_table


class Name(NamedTuple):
    """
    The id that other files use for a row, and the key of the row.

    ``space`` is the column that has the id: equal ids of different columns are different ids.
    """

    space: str
    id: str
    key: str
    number: int


class References:
    """The ids and keys of a file's rows. Memory does not grow with the file."""

    def __init__(self) -> None:
        self.names = temporary_table(
            "names (space TEXT, id TEXT, key TEXT, number INTEGER, PRIMARY KEY (space, id, key))"
        )
        self.names.execute("CREATE INDEX names_by_key ON names (space, key, id, number)")

    def close(self) -> None:
        self.names.close()

    def add(self, names: Iterable[Name]) -> None:
        """Add names. Of several rows with the same id and key the first one counts."""
        self.names.executemany("INSERT INTO names VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", names)

    def keys(self, space: str, name: str) -> dict[str, int]:
        """Return the keys that an id stands for, each with the number of its row."""
        return dict(self._rows("SELECT key, number FROM names WHERE space = ? AND id = ?", space, name))

    def ids(self, space: str, key: str) -> dict[str, int]:
        """Return the ids that stand for a key, each with the number of its row."""
        return dict(self._rows("SELECT id, number FROM names WHERE space = ? AND key = ?", space, key))

    def _rows(self, query: str, *values: str) -> list[tuple[str, int]]:
        return self.names.execute(f"{query} ORDER BY number", values).fetchall()
