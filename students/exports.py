"""Export of enrollments as rows in the format of the enrollment import."""

from collections.abc import Iterator

from students.imports import EnrollmentImporter
from students.models import StudentCourseQuerySet

# A waiver applies to one act and is not part of an enrollment's state.
NOT_EXPORTED = {"waive", "role", "role_id", "section_id"}  # columns for one import only, or of other systems
HEADER = [column.name for column in EnrollmentImporter.columns if column.name not in NOT_EXPORTED]


def enrollment_rows(enrollments: StudentCourseQuerySet) -> Iterator[list[str]]:
    """
    Yield a row for the newest enrollment of each student in each course, ordered by id, as a stream.

    Importing the rows again changes nothing. Earlier enrollments of the same pair are left out.
    """
    standing = (
        enrollments.newest()
        .order_by("pk")
        .values_list("student__student_number", "course__code", "course__term__code", "status", "grade")
    )
    for number, code, term, status, grade in standing.iterator(chunk_size=2_000):
        yield [number, code, term or "", status, grade, ""]
