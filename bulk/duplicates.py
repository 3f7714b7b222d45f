"""Two rows about one thing: a file that says how things are can say it once."""

import sqlite3
from collections.abc import Collection, Hashable

from django.utils.translation import gettext as _

from bulk.reading import Row
from school.refusals import Refusal


class FirstRows:
    """
    The rows seen so far, by what they are about.

    Kept in SQLite's temporary database, which goes to the disk by itself: memory does not grow with the file.
    """

    def __init__(self) -> None:
        self.seen = sqlite3.connect("")
        self.seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, number INTEGER, cells TEXT) WITHOUT ROWID")

    def close(self) -> None:
        self.seen.close()

    def has(self, key: Hashable) -> bool:
        """Tell whether a row was about this key."""
        return self.seen.execute("SELECT 1 FROM seen WHERE key = ?", (repr(key),)).fetchone() is not None

    def objection(self, row: Row, key: Hashable, key_columns: Collection[str]) -> Refusal | None:
        """Refuse a row that contradicts an earlier one about the same key. Saying the same again is no harm."""
        cells = repr(sorted((name, cell) for name, cell in row.cells.items() if name not in key_columns))
        new = self.seen.execute(
            "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (repr(key), row.number, cells)
        )
        if new.rowcount:
            return None
        number, first = self.seen.execute("SELECT number, cells FROM seen WHERE key = ?", (repr(key),)).fetchone()
        if first == cells:
            return None
        message = _("Row %(first)s is about the same and says otherwise.") % {"first": number}
        return Refusal("duplicate_row", message)
