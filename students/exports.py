"""The exports of students and of enrollments, and the roster of a course for spreadsheets, as CSV."""

from collections.abc import Iterable, Iterator

from django.db.models import Value

from bulk.exports import Export, stream_csv
from school.access.access_log import Subject
from students.models import StudentCourse, StudentCourseQuerySet

# An erased student has no name, and cannot be imported.
STUDENTS = Export(
    "students",
    {name: name for name in ("student_number", "given_name", "family_name", "email", "is_active")},
    select=lambda students: students.filter(erased_at__isnull=True),
    subject=Subject.STUDENTS,
)
# Earlier enrollments of a student who came back are left out. A reason belongs to one act, and is not exported.
ENROLLMENTS = Export(
    "enrollments",
    {
        "student_number": "student__student_number",
        "course_code": "course__code",
        "term": "course__term__code",
        "status": "status",
        "grade": "grade",
        "reason": Value(""),
    },
    select=StudentCourseQuerySet.latest_per_student_and_course,
    subject=Subject.ENROLLMENTS,
)

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


def stream_roster_csv(enrollments: Iterable[StudentCourse]) -> Iterator[str]:
    """Yield the header and the enrollments as CSV, in pieces of some lines."""
    for _count, text in stream_csv(ROSTER_HEADER, map(_row, enrollments), line_end="\r\n"):
        yield text


def _row(enrollment: StudentCourse) -> Iterator[object]:
    student, course = enrollment.student, enrollment.course
    yield from (student.student_number, student.given_name, student.family_name)
    yield from (course.code, course.term.code if course.term else "")
    yield from (enrollment.status, enrollment.waitlist_position, enrollment.enrolled_on, enrollment.ended_on)
    yield enrollment.grade
