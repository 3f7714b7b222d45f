"""Every filter of every list is served by an index: read from the plans of PostgreSQL, on realistic statistics."""

import itertools
import json
import re

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Course
from school.clients import create_api_client
from school.models import ApiClient
from students.models import Student, StudentCourse
from students.views import express
from tests.test_access import bearer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are read on PostgreSQL"),
]

SEARCH = [f"student_search_{column}" for column in ("student_number", "given_name", "family_name", "email")]
STUDENTS, COURSES, ENROLLMENTS = 20_000, 400, 100_000
# The tables that grow. Courses and terms are few: reading all of them is the best plan there is.
BIG = {"students_studentcourse", "students_student", "students_historicalstudent"}

# Two terms; of the enrollments four in ten are open, and very few withdrawn.
SEED = [
    "INSERT INTO courses_term (code, name, starts_on, ends_on)"
    " VALUES ('2025F', 'Fall', '2025-09-01', '2026-01-31'), ('2026F', 'Fall', '2026-09-01', '2027-01-31')",
    "INSERT INTO courses_course (code, name, level, term_id, capacity, waitlist_capacity, is_active, prerequisites)"
    " SELECT 'C-' || n / 2, 'Course', (ARRAY['introductory', 'intermediate', 'advanced', 'graduate'])[n % 4 + 1],"
    " (SELECT id FROM courses_term ORDER BY id OFFSET n % 2 LIMIT 1), 500, 0, true, '[]'"
    " FROM generate_series(1, {courses}) n",
    "INSERT INTO students_student (student_number, given_name, family_name, email, is_active)"
    " SELECT 'S-' || n, 'Ada', md5(n::text), '', true FROM generate_series(1, {students}) n",
    "INSERT INTO students_historicalstudent (id, student_number, given_name, family_name, email, is_active,"
    " history_date, history_type) SELECT id, student_number, given_name, family_name, email, is_active,"
    " timestamptz '2026-01-01' + (id * 7919 % 20000) * interval '1 minute', '+' FROM students_student",
    "INSERT INTO students_studentcourse (student_id, course_id, status, enrolled_on, ended_on, grade, version,"
    " created_at, updated_at) SELECT s0 + n % {students}, c0 + (n / {students} * 7 + n) % {courses},"
    " CASE WHEN n % 1000 = 0 THEN 'withdrawn' WHEN n % 5 < 3 THEN 'completed' ELSE 'enrolled' END, '2026-09-01',"
    " CASE WHEN n % 1000 = 0 OR n % 5 < 3 THEN date '2026-12-01' END, '', 1, now(),"
    " timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, {enrollments}) n,"
    " (SELECT min(id) s0 FROM students_student) s, (SELECT min(id) c0 FROM courses_course) c",
]


@pytest.fixture(scope="module")
def crowd(django_db_setup, django_db_blocker):
    """A crowd that all tests of this page read, taken away at the end."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            for statement in SEED:
                names = {"students": STUDENTS, "courses": COURSES, "enrollments": ENROLLMENTS}
                cursor.execute(statement.format(**names))
            for index in SEARCH:
                cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [index])  # as a vacuum does now and then
            cursor.execute("ANALYZE")
        yield
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE students_studentcourse, students_student, students_historicalstudent,"
                " courses_course, courses_term CASCADE"
            )


RECENT = "2026-03-11T00:00:00Z"
ENROLLMENT_QUERIES = [
    "",
    "ordering=-id",
    "ordering=updated_at",
    "ordering=-updated_at",
    f"updated_since={RECENT}",
    f"updated_since={RECENT}&ordering=updated_at&status=all",
    "status=all",
    "status=withdrawn",
    "status=dropped",
    "status=waitlisted",
    "status=completed,withdrawn",
    "term=2026F",
    "term=2025F&status=all",
    "level=graduate",
    "student_number=S-77",
    "student=number:S-77&status=all",
    "course_code=C-77",
    "course=code:C-77@2026F",
    "course=code:C-77@2026F&status=withdrawn",
    "term=2026F&level=graduate&status=withdrawn",
    "expand=student,course",
    "fields=id,status",
]
URLS = [
    *(f"enrollments?{query}" for query in ENROLLMENT_QUERIES),
    "students?student_number=S-77",
    "students?ordering=family_name",
    "students?ordering=-student_number",
    "students?updated_since=2026-01-14T00:00:00Z",
    "students?search=S-1999",
    "students/number:S-77/courses?status=all",
    "students/number:S-77/courses?ordering=course_code",
    "courses/code:C-77@2026F/students",
    "courses/code:C-77@2026F/students?ordering=family_name&status=all",
    "courses/code:C-77@2026F/students?search=abc",
    f"courses/code:C-77@2026F/students?updated_since={RECENT}",
    "courses/code:C-77@2026F/students?student=number:S-77",
    "courses?has_seats=true",
    "courses?has_seats=false",
]


@pytest.mark.parametrize("url", URLS)
def test_a_page_is_found_by_an_index(api, crowd, url):
    check_plans(api, url)


@pytest.mark.parametrize("limits", [{"terms": ["2026F"]}, {"courses": ["C-77@2026F"]}])
@pytest.mark.parametrize(
    "url", ["enrollments", "enrollments?status=all", "enrollments?ordering=-updated_at", "students"]
)
def test_so_is_a_page_of_who_is_limited(crowd, url, limits):
    keys = create_api_client("limited", " ".join(settings.SCOPES), **limits)
    check_plans(bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES), url)


def check_plans(api, url):
    assert StudentCourse.objects.count() == ENROLLMENTS
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL random_page_cost = 1.1")  # a disk without a moving arm, or a table in memory
    with CaptureQueriesContext(connection) as queries:
        answer = api.get(f"/api/v1/{url}")
    assert answer.status_code == 200

    scans, read = [], 0
    for query in queries:
        sql = query["sql"]
        if sql.startswith("SELECT") and any(f'FROM "{table}"' in sql for table in (*BIG, "courses_course")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
                [plans] = cursor.fetchone()
            for node in nodes_of((json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]):
                if node["Node Type"] == "Seq Scan":
                    scans.append(node["Relation Name"])
                if node.get("Relation Name") in BIG:
                    read += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]

    assert BIG & set(scans) == set()
    assert read <= (ENROLLMENTS if url.startswith("courses?") else ENROLLMENTS / 5)


@pytest.mark.parametrize("most", [11, 51, 501])
@pytest.mark.parametrize("place", [(), (False, False), (True, True), (False, True)])
@pytest.mark.parametrize("name", ["student_courses", "roster", "enrollments"])
def test_the_one_plan_of_a_prepared_list_reads_little_more_than_the_page(crowd, name, place, most):
    """Whatever the values are: PostgreSQL plans without them."""
    lane = getattr(express, name)
    statement = lane.statement_for(*(place or (False, False)), most)
    [parent] = (Student if name == "student_courses" else Course).objects.values_list("pk", flat=True)[:1]
    middle = StudentCourse.objects.order_by("pk")[ENROLLMENTS // 2].pk
    values = statement.filled((parent, middle))
    places = (f"${place}" for place in itertools.count(1))
    sql = re.sub("%s", lambda _: next(places), statement.sql).replace("%%", "%")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SET LOCAL random_page_cost = 1.1")
        cursor.execute(f"PREPARE page AS {sql}")
        run = f"page ({', '.join(['%s'] * len(values))})" if values else "page"
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {run}", values)
        [plans] = cursor.fetchone()
        cursor.execute("DEALLOCATE page")
    read = 0
    for node in nodes_of((json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]):
        if node.get("Relation Name") == "students_studentcourse":
            read += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]

    # A course of this crowd has 250 enrollments, a student five; four in ten of them are open.
    assert read <= {"roster": 250, "student_courses": 10, "enrollments": 3 * most}[name]


def nodes_of(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)
