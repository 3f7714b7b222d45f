"""A course's roster as a CSV file for spreadsheets. The file can be imported again."""

import csv
from collections.abc import Iterable, Iterator

from bulk.files.csv_cells import guard
from students.models import StudentCourse

HEADER = (
    "student_number",
    "given_name",
    "family_name",
    "course_code",
    "term",
    "status",
    "waitlist_position",
    "enrolled_on",
    "ended_on",
    "grade",
)
CHUNK = 500


class _Line:
    """A file object whose ``write`` returns its argument, so that ``csv.writer`` returns each line."""

    def write(self, line: str) -> str:
        return line


def roster_lines(enrollments: Iterable[StudentCourse]) -> Iterator[str]:
    """
    Yield the header and the enrollments as CSV, in pieces of ``CHUNK`` lines.

    Cells are escaped, so that no spreadsheet runs them as formulas.
    """
    writer = csv.writer(_Line())
    lines = [writer.writerow(HEADER)]
    for enrollment in enrollments:
        lines.append(writer.writerow(map(guard, _cells(enrollment))))
        if len(lines) >= CHUNK:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _cells(enrollment: StudentCourse) -> Iterator[object]:
    student, course = enrollment.student, enrollment.course
    yield from (student.student_number, student.given_name, student.family_name)
    yield from (course.code, course.term.code if course.term else "")
    yield from (enrollment.status, enrollment.waitlist_position, enrollment.enrolled_on, enrollment.ended_on)
    yield enrollment.grade
