"""Detects rows of a file that contradict an earlier row with the same key."""

from collections.abc import Hashable, Sequence

from bulk.files.csv_reader import Row
from bulk.files.temporary_table import temporary_table
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal


class FirstRows:
    """The rows seen so far, by key. Memory does not grow with the file."""

    def __init__(self) -> None:
        self.seen = temporary_table("seen (key TEXT PRIMARY KEY, number INTEGER, cells TEXT)")

    def close(self) -> None:
        self.seen.close()

    def objections(self, rows: Sequence[Row], keys: Sequence[Hashable], said: Sequence[str]) -> dict[int, Refusal]:
        """
        Return the refusals of rows that contradict an earlier row with the same key, by row number.

        ``said`` has the content of each row apart from its key. A row that repeats the content is accepted.
        """
        told = [(repr(key), row.number, rest) for row, key, rest in zip(rows, keys, said, strict=True)]
        before = self.seen.total_changes
        # In the order of the keys, as in the table; of two rows with one key, the earlier row comes first.
        self.seen.executemany("INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", sorted(told))
        if self.seen.total_changes - before == len(told):
            return {}
        refusals = {}
        for key, number, rest in told:
            first, said_first = self.seen.execute("SELECT number, cells FROM seen WHERE key = ?", (key,)).fetchone()
            if first != number and said_first != rest:
                message = _("Row %(first)s has the same key and different values.") % {"first": first}
                refusals[number] = Refusal("duplicate_row", message)
        return refusals
