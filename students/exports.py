"""Enrollments as rows of the file that imports them."""

from collections.abc import Iterator

from students.imports import EnrollmentImporter
from students.models import StudentCourseQuerySet

# A waiver is for one act, and says nothing of how things are.
HEADER = [column.name for column in EnrollmentImporter.columns if column.name != "waive"]


def enrollment_rows(enrollments: StudentCourseQuerySet) -> Iterator[list[str]]:
    """
    Yield how each student stands in each course: the newest enrollment of a pair, by id, as a stream.

    Importing the rows again changes nothing. Earlier enrollments are history and stay out: a file says what is.
    """
    standing = (
        enrollments.newest()
        .order_by("pk")
        .values_list("student__student_number", "course__code", "course__term__code", "status", "grade")
    )
    for number, code, term, status, grade in standing.iterator(chunk_size=2_000):
        yield [number, code, term or "", status, grade, ""]
