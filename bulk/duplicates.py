"""Two rows about one thing: a file that says how things are can say it once."""

import sqlite3
from collections.abc import Collection, Hashable, Sequence

from django.utils.translation import gettext as _

from bulk.reading import Row
from school.refusals import Refusal

CACHE = 32_000  # kilobytes of it that are held in memory


class FirstRows:
    """
    The rows seen so far, by what they are about.

    Kept in SQLite's temporary database, which goes to the disk by itself: memory does not grow with the file.
    """

    def __init__(self) -> None:
        self.seen = sqlite3.connect("")
        self.seen.execute(f"PRAGMA cache_size = -{CACHE}")
        self.seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, number INTEGER, cells TEXT) WITHOUT ROWID")

    def close(self) -> None:
        self.seen.close()

    def has(self, key: Hashable) -> bool:
        """Tell whether a row was about this key."""
        return self.seen.execute("SELECT 1 FROM seen WHERE key = ?", (repr(key),)).fetchone() is not None

    def objections(
        self, rows: Sequence[Row], keys: Sequence[Hashable], key_columns: Collection[str]
    ) -> dict[int, Refusal]:
        """
        Refuse rows that contradict an earlier one about the same key, by their numbers.

        Saying the same again is no harm.
        """
        told = [(repr(key), row.number, _rest(row, key_columns)) for row, key in zip(rows, keys, strict=True)]
        before = self.seen.total_changes
        # In the order of the keys, as they lie; of two rows about one thing the first comes first.
        self.seen.executemany("INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", sorted(told))
        if self.seen.total_changes - before == len(told):
            return {}
        refusals = {}
        for key, number, cells in told:
            first, said = self.seen.execute("SELECT number, cells FROM seen WHERE key = ?", (key,)).fetchone()
            if first != number and said != cells:
                message = _("Row %(first)s is about the same and says otherwise.") % {"first": first}
                refusals[number] = Refusal("duplicate_row", message)
        return refusals


def _rest(row: Row, key_columns: Collection[str]) -> str:
    """Return what a row says beside what it is about."""
    said = [(name, cell) for name, cell in row.cells.items() if cell and name not in key_columns]
    return repr(sorted(said)) if said else ""
