"""
Exports as CSV: enrollments in the format of enrollment files, and the roster of a course for spreadsheets.

Both files can be imported again.
"""

import csv
from collections.abc import Iterable, Iterator

from bulk.files.csv_cells import escape_formulas
from students.imports import EnrollmentImporter
from students.models import StudentCourse, StudentCourseQuerySet

# Without the column of waivers: a waiver applies to one command and is not part of an enrollment's state.
# These columns are for one import only, or come from other systems.
NOT_EXPORTED = {"waive", "role", "role_id", "section_id"}
HEADER = [column.name for column in EnrollmentImporter.columns if column.name not in NOT_EXPORTED]


def enrollment_rows(enrollments: StudentCourseQuerySet) -> Iterator[list[str]]:
    """
    Yield a row for the newest enrollment of each student in each course, ordered by id, as a stream.

    Importing the rows again changes nothing. Earlier enrollments of the same pair are left out.
    """
    latest = (
        enrollments.latest_per_student_and_course()
        .order_by("pk")
        .values_list("student__student_number", "course__code", "course__term__code", "status", "grade")
    )
    for number, code, term, status, grade in latest.iterator(chunk_size=2_000):
        yield [number, code, term or "", status, grade, ""]


ROSTER_HEADER = (
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
LINES_PER_CHUNK = 500


class Echo:
    """A file object whose ``write`` returns its argument, so that ``csv.writer`` returns each line."""

    def write(self, line: str) -> str:
        return line


def stream_roster_csv(enrollments: Iterable[StudentCourse]) -> Iterator[str]:
    """
    Yield the header and the enrollments as CSV, in pieces of ``LINES_PER_CHUNK`` lines.

    Cells are escaped, so that no spreadsheet runs them as formulas.
    """
    writer = csv.writer(Echo())
    lines = [writer.writerow(ROSTER_HEADER)]
    for enrollment in enrollments:
        lines.append(writer.writerow(map(escape_formulas, _row(enrollment))))
        if len(lines) >= LINES_PER_CHUNK:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _row(enrollment: StudentCourse) -> Iterator[object]:
    student, course = enrollment.student, enrollment.course
    yield from (student.student_number, student.given_name, student.family_name)
    yield from (course.code, course.term.code if course.term else "")
    yield from (enrollment.status, enrollment.waitlist_position, enrollment.enrolled_on, enrollment.ended_on)
    yield enrollment.grade
