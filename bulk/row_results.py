"""The outcomes of rows of all kinds, and the result of a row: its outcome, or every error of the row."""

from collections.abc import Mapping
from dataclasses import dataclass

from bulk.files.csv_reader import Row
from school.refusals import Refusal

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
CHANGED_OUTCOMES = (CREATED, UPDATED)
ERROR = "error"
SKIPPED = "skipped"
REVERSED, KEPT = "reversed", "kept"  # the outcomes of the rows of an undo
DROPPED, RELEASED = "dropped", "released"
ENDED_OUTCOMES = (DROPPED, RELEASED)  # the outcomes of objects that a row, or a full file without a row, has ended
# The outcomes of objects that a full file does not list, but that it does not end either.
KEPT_MANUAL, KEPT_OTHER_SOURCE, KEPT_UNCERTAIN = "kept_manual", "kept_other_source", "kept_uncertain"
KEPT_OUTCOMES = (KEPT_MANUAL, KEPT_OTHER_SOURCE, KEPT_UNCERTAIN)


def count_ended(counts: Mapping[str, int]) -> int:
    """Return the number of results whose object has ended, of the numbers of results by outcome."""
    return sum(counts.get(outcome, 0) for outcome in ENDED_OUTCOMES)


@dataclass(slots=True)
class RowResult:
    """The result of a row: its outcome with an optional note, or every error of the row."""

    row: Row
    outcome: str
    object_id: int | None = None
    errors: tuple[Refusal, ...] = ()
    note: str = ""

    @property
    def is_from_file(self) -> bool:
        """True for the result of a row of the file, False for a result about an object that the file does not list."""
        return self.row.number > 0
