"""The exports of students, of holds and of enrollments, and the roster of a course for spreadsheets, as CSV."""

from collections.abc import Iterable, Iterator

from django.db.models import Value

from bulk.exports import Export, stream_csv
from courses.lookup import key_of
from school.access.access_log import Subject
from school.fields import format_credits
from students.events.as_of import iterate_as_of
from students.models import StudentCourse, StudentCourseQuerySet

# An erased student has no name, and cannot be imported.
STUDENTS = Export(
    "students",
    {name: name for name in ("student_number", "given_name", "family_name", "email", "max_credits", "is_active")},
    select=lambda students: students.filter(erased_at__isnull=True),
    subject=Subject.STUDENTS,
    formats={"max_credits": format_credits},
)
# Earlier enrollments of a student who came back are left out. A reason belongs to one act, and is not exported.
ENROLLMENTS = Export(
    "enrollments",
    {
        "student_number": "student__student_number",
        "course_code": "course__code",
        "term": "course__term__code",
        "section": "course__section",
        "status": "status",
        "grade": "grade",
        "reason": Value(""),
    },
    select=StudentCourseQuerySet.latest_per_student_and_course,
    subject=Subject.ENROLLMENTS,
    read_as_of=iterate_as_of,
)

HOLDS = Export(
    "holds",
    {
        "student_number": "student__student_number",
        "code": "code",
        "term": "term__code",
        "reason": "reason",
        "from": "starts_on",
        "until": "ends_on",
    },
    select=lambda holds: holds.filter(student__erased_at__isnull=True).open(),
    subject=Subject.STUDENTS,
)

ROSTER_HEADER = (
    "student_number",
    "given_name",
    "family_name",
    "course_code",
    "term",
    "section",
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
    yield from key_of(course)
    yield from (enrollment.status, enrollment.waitlist_position, enrollment.enrolled_on, enrollment.ended_on)
    yield enrollment.grade
