"""Every filter of every list uses an index, as the query plans of PostgreSQL on realistic statistics show."""

import itertools
import json
import re
from collections import Counter
from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from courses.api.views import TermViewSet
from courses.api_client_creation import create_api_client
from courses.models import Course
from school.api.query_parameters import filters_of
from school.db import compiled_queries
from school.models import ApiClient
from students.api import EnrollmentViewSet, RosterViewSet, StudentCoursesViewSet
from students.api.courses_with_seats import CourseWithSeatsViewSet
from students.api.students import StudentViewSet
from students.models import Student, StudentCourse
from tests.security.test_access import bearer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are read on PostgreSQL"),
]

SEARCH = [f"student_search_{column}" for column in ("student_number", "given_name", "family_name", "email")]
STUDENTS, COURSES, ENROLLMENTS = 20_000, 400, 100_000
# The tables that grow. Courses and terms are few: a sequential scan is the best plan for them.
BIG = {"students_studentcourse", "students_student", "students_historicalstudent", "students_enrollmentevent"}

# Two terms; 40 % of the enrollments are open, and very few are withdrawn.
SEED = [
    "INSERT INTO courses_term (code, name, starts_on, ends_on)"
    " VALUES ('2025F', 'Fall', '2025-09-01', '2026-01-31'), ('2026F', 'Fall', '2026-09-01', '2027-01-31')",
    "INSERT INTO courses_course (code, section, name, level, term_id, capacity, waitlist_capacity, is_active,"
    " prerequisites, corequisites, meetings)"
    " SELECT 'C-' || n / 2, '', 'Course', (ARRAY['introductory', 'intermediate', 'advanced', 'graduate'])[n % 4 + 1],"
    " (SELECT id FROM courses_term ORDER BY id OFFSET n % 2 LIMIT 1), 500, 0, true, '[]', '[]', '[]'"
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
    "INSERT INTO students_enrollmentevent (enrollment_id, action, at, channel, from_status, to_status, changes, reason,"
    " reason_parts, waived, refusals, request_id) SELECT id, 'enroll', created_at, 'api', '', 'enrolled', '{{}}', '',"
    " '[]', '[]', '[]', 'r' FROM students_studentcourse ORDER BY id",
]


@pytest.fixture(scope="module")
def many_rows(django_db_setup, django_db_blocker):
    """Insert many rows for all tests of this module, and delete them at the end."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            for statement in SEED:
                names = {"students": STUDENTS, "courses": COURSES, "enrollments": ENROLLMENTS}
                cursor.execute(statement.format(**names))
            for index in SEARCH:
                cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [index])  # as VACUUM does regularly
            cursor.execute("ANALYZE")
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # the journal refuses TRUNCATE
            cursor.execute(
                "TRUNCATE students_studentcourse, students_student, students_historicalstudent,"
                " students_enrollmentevent, courses_course, courses_term CASCADE"
            )
            cursor.execute("RESET session_replication_role")


RECENT = "2026-03-11T00:00:00Z"
TODAY = timezone.localdate().isoformat()  # the journal of the seed begins when it is inserted
# A value for each filter of a list: a filter without a value here fails.
VALUES = {
    "as_of": TODAY,
    "capacity": "500",
    "code": "C-77",
    "course": "code:C-77@2026F",
    "course_code": "C-77",
    "has_seats": "true",
    "is_active": "true",
    "level": "graduate",
    "running_on": "2026-10-01",
    "status": "withdrawn",
    "student": "number:S-77",
    "student_number": "S-77",
    "term": "2026F",
    "updated_since": RECENT,
}
LISTS: dict[str, Any] = {
    "enrollments": EnrollmentViewSet,
    "students": StudentViewSet,
    "students/number:S-77/courses": StudentCoursesViewSet,
    "courses": CourseWithSeatsViewSet,
    "courses/code:C-77@2026F/students": RosterViewSet,
    "terms": TermViewSet,
}
FILTERED = [f"{path}?{name}={VALUES[name]}" for path, view in LISTS.items() for name in filters_of(view)]
ORDERED = [
    f"{path}?ordering={sign}{name}"
    for path, view in LISTS.items()
    for name in view.ordering_fields
    for sign in ("", "-")
]
SEVERAL = [
    "enrollments",
    f"enrollments?updated_since={RECENT}&ordering=updated_at&status=all",
    "enrollments?status=all",
    f"enrollments?term=2025F&as_of={TODAY}",
    f"enrollments?student=number:S-77&as_of={TODAY}",
    f"students/number:S-77/courses?as_of={TODAY}&ordering=course_code",
    f"courses/code:C-77@2026F/students?as_of={TODAY}&status=all&ordering=family_name",
    "enrollments?status=dropped",
    "enrollments?status=waitlisted",
    "enrollments?status=completed,withdrawn",
    "enrollments?term=2025F&status=all",
    "enrollments?student=number:S-77&status=all",
    "enrollments?course=code:C-77@2026F&status=withdrawn",
    "enrollments?term=2026F&level=graduate&status=withdrawn",
    "enrollments?expand=student,course",
    "enrollments?fields=id,status",
    "students?search=S-1999",
    "students/number:S-77/courses?status=all",
    "courses/code:C-77@2026F/students?ordering=family_name&status=all",
    "courses/code:C-77@2026F/students?search=abc",
    "courses?has_seats=false",
    "courses?search=C-7",
    "terms?search=2026",
    "changes",
    "changes?after=latest",
]


@pytest.mark.parametrize("url", [*FILTERED, *ORDERED, *SEVERAL])
def test_every_list_query_uses_an_index(api, many_rows, url):
    check_plans(api, url)


def test_the_events_of_an_enrollment_are_read_with_an_index(api, many_rows):
    check_plans(api, f"enrollments/{StudentCourse.objects.latest('pk').pk}/events")


@pytest.mark.parametrize("limits", [{"terms": ["2026F"]}, {"courses": ["C-77@2026F"]}])
@pytest.mark.parametrize(
    "url", ["enrollments", "enrollments?status=all", "enrollments?ordering=-updated_at", "students", "changes"]
)
def test_every_list_query_of_a_limited_client_uses_an_index(many_rows, url, limits):
    keys = create_api_client("limited", " ".join(settings.SCOPES), **limits)
    check_plans(bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES), url)


def statements_of(api, url):
    """Return the statements of a page, each with its values."""
    with pytest.MonkeyPatch.context() as patch:
        asked: list[tuple[Any, ...]] = []
        run_prepared = compiled_queries._run_in_pipeline

        def capture_statements(them):
            asked.extend(them)
            return run_prepared(them)

        patch.setattr(compiled_queries, "_run_in_pipeline", capture_statements)
        run_by_django = compiled_queries._run_by_django

        def capture_statement(*one):
            asked.append((*one, "anew"))
            return run_by_django(*one)

        patch.setattr(compiled_queries, "_run_by_django", capture_statement)
        answer = api.get(f"/api/v1/{url}")
    assert answer.status_code == 200
    return asked


def check_plans(api, url):
    """Check the plans of the statements of a page: the generic plan of PostgreSQL for all values."""
    assert StudentCourse.objects.count() == ENROLLMENTS
    asked = statements_of(api, url)

    scans: list[str] = []
    read: Counter[str] = Counter()
    for sql, values, *how in asked:
        if sql.startswith(("SELECT", "WITH")) and any(f'FROM "{table}"' in sql for table in (*BIG, "courses_course")):
            for node in nodes_of(plan_of(sql, values, *how)):
                if node["Node Type"] == "Seq Scan":
                    scans.append(node["Relation Name"])
                if node.get("Relation Name") in BIG:
                    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                    read[node["Relation Name"]] += rows * node["Actual Loops"]

    assert BIG & set(scans) == set()
    assert read.total() <= (ENROLLMENTS if url.startswith("courses?") else ENROLLMENTS / 5)
    return read["students_studentcourse"]


def plan_of(sql, values, how="once"):
    places = (f"${place}" for place in itertools.count(1))
    numbered = re.sub("%s", lambda _: next(places), sql).replace("%%", "%")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL random_page_cost = 1.1")  # an SSD, or a table in memory
        mode = "force_generic_plan" if how == "once" else "force_custom_plan"
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        cursor.execute(f"PREPARE page AS {numbered}")
        run = f"page ({', '.join(['%s'] * len(values))})" if values else "page"
        cursor.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {run}",
            [str(value) if isinstance(value, int | date) else value for value in values],
        )
        [plans] = cursor.fetchone()
        cursor.execute("DEALLOCATE page")
    return (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]


@pytest.mark.parametrize("size", [10, 50, 500])
@pytest.mark.parametrize("place", ["first", "second", "before the second"])
@pytest.mark.parametrize("name", ["student_courses", "roster", "enrollments"])
def test_a_page_reads_few_rows_beyond_those_that_it_returns(api, many_rows, name, place, size):
    student, course = (model.objects.order_by("pk").values_list("pk", flat=True)[0] for model in (Student, Course))
    url = {
        "student_courses": f"students/{student}/courses",
        "roster": f"courses/{course}/students",
        "enrollments": "enrollments",
    }[name]
    url += f"?page_size={size}"
    answer = api.get(f"/api/v1/{url}").json()
    if place != "first" and answer["next"]:
        url = answer["next"].partition("/api/v1/")[2]
        if place != "second":
            url = api.get(f"/api/v1/{url}").json()["previous"].partition("/api/v1/")[2]

    # A course has 250 enrollments, a student five; 40 % of them are open.
    most = next(limit for limit in compiled_queries.PAGE_LIMITS if size < limit)
    assert check_plans(api, url) <= {"roster": 250, "student_courses": 10, "enrollments": 3 * most}[name]


def nodes_of(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)
