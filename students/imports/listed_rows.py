"""The students and courses that the rows of a full file list."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bulk.scratch_table import scratch_table
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import EnrollmentKey
from students.models import Action

UNKNOWN_ID = 0  # the id in place of a student or a course that a faulty row does not identify


class ListedRow(NamedTuple):
    """
    A row with the ids of its student and its course; an id that cannot be resolved is ``UNKNOWN_ID``.

    ``action``, ``grade`` and ``reason`` are set only for a valid row that ends an enrollment.
    """

    student_id: int
    course_id: int
    number: int
    action: str | None = None
    grade: str | None = None
    reason: str = ""


class ListedRows:
    """The rows of a full file, in a temporary table: the memory used does not grow with the file."""

    def __init__(self) -> None:
        self.rows = scratch_table(
            "listed (student_id INTEGER, course_id INTEGER, number INTEGER, action TEXT, grade TEXT, reason TEXT, "
            "PRIMARY KEY (student_id, course_id))"
        )

    def close(self) -> None:
        self.rows.close()

    def add(self, rows: Iterable[ListedRow]) -> None:
        """Add rows. Of several rows with the same student and course, only the first one counts."""
        self.rows.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", sorted(rows))

    def has(self, key: EnrollmentKey) -> bool:
        """Return True if a row names both this student and this course."""
        return self._number(*key) is not None

    def ambiguous_row(self, key: EnrollmentKey) -> int | None:
        """Return the number of a faulty row that may be about this student and course; None if there is none."""
        student_id, course_id = key
        for ids in ((student_id, UNKNOWN_ID), (UNKNOWN_ID, course_id), (UNKNOWN_ID, UNKNOWN_ID)):
            if (number := self._number(*ids)) is not None:
                return number
        return None

    def _number(self, student_id: int, course_id: int) -> int | None:
        row = self.rows.execute(
            "SELECT number FROM listed WHERE student_id = ? AND course_id = ?", (student_id, course_id)
        ).fetchone()
        return None if row is None else int(row[0])

    def ending_commands(self, size: int) -> Iterator[list[EnrollmentCommand]]:
        """Yield the commands of the rows that end an enrollment, in lists of at most ``size``."""
        ending_rows = self.rows.execute(
            "SELECT student_id, course_id, action, grade, reason FROM listed WHERE action IS NOT NULL"
        )
        while chunk := ending_rows.fetchmany(size):
            yield [
                EnrollmentCommand(Action(action), student_id, course_id, grade, reason)
                for student_id, course_id, action, grade, reason in chunk
            ]
