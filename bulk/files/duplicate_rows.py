"""Detects rows of a file that contradict an earlier row with the same key."""

from collections.abc import Hashable, Sequence

from bulk.files.csv_reader import Row
from bulk.scratch_table import scratch_table
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal


class RowKeyIndex:
    """The keys of the rows that were read so far. Memory does not grow with the file."""

    def __init__(self) -> None:
        self.table = scratch_table("seen (key TEXT PRIMARY KEY, number INTEGER, cells TEXT)")

    def close(self) -> None:
        self.table.close()

    def conflicts(self, rows: Sequence[Row], keys: Sequence[Hashable], contents: Sequence[str]) -> dict[int, Refusal]:
        """
        Return the refusals of rows that contradict an earlier row with the same key, by row number.

        ``contents`` has the content of each row apart from its key. A row that repeats the content is accepted.
        """
        records = [(repr(key), row.number, content) for row, key, content in zip(rows, keys, contents, strict=True)]
        changes_before = self.table.total_changes
        # Insert in the order of the keys, in which the table is stored. Of two rows with the same key, the earlier row
        # comes first.
        self.table.executemany("INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", sorted(records))
        if self.table.total_changes - changes_before == len(records):
            return {}
        refusals = {}
        for key, number, content in records:
            first_number, first_content = self.table.execute(
                "SELECT number, cells FROM seen WHERE key = ?", (key,)
            ).fetchone()
            if first_number != number and first_content != content:
                message = _("Row %(first)s has the same key and different values.") % {"first": first_number}
                refusals[number] = Refusal("duplicate_row", message)
        return refusals
