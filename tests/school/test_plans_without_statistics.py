"""Pages of the past read few rows on PostgreSQL even if its statistics are from before the rows."""

import pytest
from django.db import connection

from courses.models import Course
from students.models import Student, StudentCourse
from tests.school.test_plans import nodes_of, plan_of, statements_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are read on PostgreSQL"),
]

STUDENTS, COURSES, ENROLLED = 1_500, 5, 100
ENROLLMENTS = STUDENTS * COURSES
AS_OF = "2026-10-01"
# Without statistics, PostgreSQL may compare the 501 enrollments of a page with all students. A nested loop over all
# enrollments and students would read eleven million rows.
MAX_READ = 2 * 501 * STUDENTS + 25 * ENROLLMENTS
# Each student is in each course; the first hundred are enrolled, the other ones wait.
SEED = [
    "ANALYZE",
    "INSERT INTO courses_course (code, section, name, level, capacity, waitlist_capacity, is_active, prerequisites,"
    " corequisites, meetings) SELECT 'C-' || n, '', 'Course', 'advanced', {enrolled}, NULL, true, '[]', '[]', '[]'"
    " FROM generate_series(1, {courses}) n",
    "INSERT INTO students_student (student_number, given_name, family_name, email, is_active)"
    " SELECT 'S-' || n, 'Ada', md5(n::text), '', true FROM generate_series(1, {students}) n",
    "INSERT INTO students_studentcourse (student_id, course_id, status, enrolled_on, waitlisted_at, grade, version,"
    " created_at, updated_at) SELECT s.id, c.id, CASE WHEN n <= {enrolled} THEN 'enrolled' ELSE 'waitlisted' END,"
    " CASE WHEN n <= {enrolled} THEN at::date END, CASE WHEN n > {enrolled} THEN at END, '', 1, at, at"
    " FROM (SELECT id, n, timestamptz '2026-09-01' + n * interval '1 second' AS at"
    " FROM (SELECT id, row_number() OVER (ORDER BY id) n FROM students_student) s) s, courses_course c",
    "INSERT INTO students_enrollmentevent (enrollment_id, action, at, channel, from_status, to_status, changes, reason,"
    " reason_parts, waived, refusals, request_id) SELECT id, 'enroll', created_at, 'api', '', status, '{{}}', '',"
    " '[]', '[]', '[]', 'r' FROM students_studentcourse ORDER BY id",
]


@pytest.fixture
def rows_without_statistics(db):
    with connection.cursor() as cursor:
        for statement in SEED:
            cursor.execute(statement.format(students=STUDENTS, courses=COURSES, enrolled=ENROLLED))


@pytest.mark.parametrize(
    "url",
    [
        "enrollments?",
        "enrollments?page_size=500&ordering=-id&",
        "enrollments?page_size=500&ordering=-updated_at&",
        "enrollments?page_size=500&status=waitlisted&ordering=-id&",
        "enrollments?status=dropped&",
        "courses/{course}/students?page_size=500&ordering=-id&",
        "courses/{course}/students?status=waitlisted&",
        "students/{student}/courses?",
    ],
)
def test_a_page_of_the_past_reads_no_product_of_tables(url, api, rows_without_statistics):
    course, student = (model.objects.order_by("-pk").values_list("pk", flat=True)[0] for model in (Course, Student))

    asked = statements_of(api, url.format(course=course, student=student) + f"as_of={AS_OF}")

    [page] = [statement for statement in asked if statement[0].startswith("WITH")]
    read = sum(_rows_read(node) for node in nodes_of(plan_of(*page)))
    assert StudentCourse.objects.count() == ENROLLMENTS
    assert read < MAX_READ


def _rows_read(node):
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    return (node["Actual Rows"] + removed) * node["Actual Loops"]


def test_positions_of_the_past_are_those_of_now(api, rows_without_statistics):
    course = Course.objects.latest("pk").pk

    for ordering in ("id", "-id", "family_name"):
        url = f"/api/v1/courses/{course}/students?page_size=500&ordering={ordering}"
        now, past = (api.get(url + suffix).json()["results"] for suffix in ("", f"&as_of={AS_OF}"))
        assert past == now
        assert {row["waitlist_position"] for row in past} - {None} != set()
