"""Identifiers, filters, the fields and expand parameters, and CSV files of API reads."""

import csv
import io
from datetime import timedelta
from datetime import timezone as zone
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from students.enrollment import complete, enroll
from students.enrollment.commands import OnFull
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import TOKEN, cost_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_enrollments(actor):
    """Enroll Ada in Calculus, and Bob in Drawing."""
    ada, bob = make_student(student_number="S-1", given_name="Ada"), make_student(student_number="S-2")
    math, art = make_course(code="MATH", term=make_term(code="2026F"), level="advanced"), make_course(code="ART")
    for student, course in ((ada, math), (bob, art)):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    return ada, math


def rows(api, path):
    answer = api.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def errors(answer):
    return [(error["code"], error["field"]) for error in answer.json()["errors"]]


def test_a_term_can_be_addressed_by_its_code(api):
    term = make_term(code="2026F")

    assert api.get("/api/v1/terms/code:2026F").json()["id"] == term.pk
    assert api.patch("/api/v1/terms/code:2026F", {"name": "Fall"}).status_code == 200
    assert api.get("/api/v1/terms/code:2026X").json()["code"] == "term_not_found"
    assert api.delete(f"/api/v1/terms/{term.pk}").status_code == 204


@pytest.mark.parametrize(
    "query",
    [
        "student=number:S-1",
        "student={ada}",
        "course=code:MATH@2026F",
        "course=code:MATH",
        "course={math}",
        "student=number:S-1&course=code:MATH",
        "course_code=MATH&term=2026F",
        "student_number=S-1",
        "level=advanced",
    ],
)
def test_enrollments_are_filtered_by_ids_and_keys(api, two_enrollments, query):
    ada, math = two_enrollments

    found = rows(api, f"enrollments?{query.format(ada=ada.pk, math=math.pk)}")

    assert [row["student"]["student_number"] for row in found] == ["S-1"]


@pytest.mark.parametrize(
    "query", ["student=number:nobody", "course=code:NOTHING", "course=code:MATH@2027S", "student=9223372036854775808"]
)
def test_an_unknown_student_or_course_filter_returns_no_enrollments(api, two_enrollments, query):
    assert rows(api, f"enrollments?{query}") == []


def test_an_ambiguous_course_code_is_an_error_of_the_filter(api):
    for code in ("2026F", "2027S"):
        make_course(code="TWICE", term=make_term(code=code))

    answer = api.get("/api/v1/enrollments?course=code:TWICE")

    assert (answer.status_code, errors(answer)) == (400, [("course_ambiguous", "course")])


def test_rosters_and_student_courses_accept_the_same_filters(api, two_enrollments):
    ada, math = two_enrollments

    assert len(rows(api, f"courses/{math.pk}/students?student=number:S-1")) == 1
    assert rows(api, f"courses/{math.pk}/students?student=number:S-2") == []
    assert len(rows(api, f"students/{ada.pk}/courses?course=code:MATH@2026F")) == 1
    assert rows(api, f"students/{ada.pk}/courses?course=code:ART") == []


def test_updated_since_includes_rows_changed_at_that_instant_or_later(api, two_enrollments, actor):
    ada, math = two_enrollments
    before = complete(student_id=ada.pk, course_id=math.pk, actor=actor).enrollment
    assert before is not None
    instant = before.updated_at.isoformat().replace("+00:00", "Z")
    later = (before.updated_at + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")

    assert [row["id"] for row in rows(api, f"enrollments?status=all&updated_since={instant}")] == [before.pk]
    assert rows(api, f"enrollments?status=all&updated_since={later}") == []


def test_enrollments_with_updated_since_are_ordered_by_change(api, two_enrollments, actor):
    ada, math = two_enrollments
    complete(student_id=ada.pk, course_id=math.pk, actor=actor)

    found = rows(api, "enrollments?status=all&updated_since=2020-01-01T00:00:00Z")

    assert [row["student"]["student_number"] for row in found] == ["S-2", "S-1"]


@pytest.mark.parametrize(("path", "make"), [("students", make_student), ("courses", make_course), ("terms", make_term)])
def test_an_edited_row_is_found_by_updated_since(api, path, make):
    make()
    edited = make()
    instant = timezone.now().isoformat().replace("+00:00", "Z")
    api.patch(f"/api/v1/{path}/{edited.pk}", {"given_name": "Eve"} if path == "students" else {"name": "Other"})

    assert [row["id"] for row in rows(api, f"{path}?updated_since={instant}")] == [edited.pk]


@pytest.mark.parametrize("value", ["yesterday", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "10000-01-01"])
@pytest.mark.parametrize("path", ["students", "courses", "terms", "enrollments"])
def test_an_invalid_datetime_returns_400(api, path, value):
    answer = api.get(f"/api/v1/{path}?updated_since={value}")

    assert (answer.status_code, [field for _code, field in errors(answer)]) == (400, ["updated_since"])


@pytest.mark.parametrize("offset", [timedelta(hours=23, minutes=59), -timedelta(hours=23, minutes=59)])
@pytest.mark.parametrize("path", ["students", "courses", "terms", "enrollments"])
def test_a_datetime_is_accepted_in_every_utc_offset(api, two_enrollments, path, offset):
    """PostgreSQL itself rejects offsets of 16 hours and more."""
    make_term()
    for minutes, is_found in ((-1, True), (1, False)):
        instant = (timezone.now() + timedelta(minutes=minutes)).astimezone(zone(offset)).isoformat()
        found = rows(api, f"{path}?updated_since={quote(instant)}")
        assert bool(found) == is_found, instant


def test_courses_are_filtered_by_free_seats(api, actor):
    full, free, unlimited = make_course(capacity=1), make_course(capacity=2), make_course()
    for course in (full, free):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)

    def ids(query):
        return [row["id"] for row in rows(api, f"courses?{query}")]

    assert ids("has_seats=true") == [free.pk, unlimited.pk]
    assert ids("has_seats=false") == [full.pk]
    assert ids("capacity=2") == [free.pk]
    assert errors(api.get("/api/v1/courses?has_seats=maybe&capacity=-1")) == [
        ("invalid_choice", "has_seats"),
        ("min_value", "capacity"),
    ] or errors(api.get("/api/v1/courses?has_seats=maybe&capacity=-1")) == [
        ("min_value", "capacity"),
        ("invalid_choice", "has_seats"),
    ]


READS = ["students", "students/{ada}", "courses", "courses/{math}", "terms", "terms/code:2026F"]
READS += ["enrollments", "students/{ada}/courses", "students/{ada}/courses/{math}", "courses/{math}/students"]


@pytest.mark.parametrize("path", READS)
def test_the_fields_parameter_leaves_out_the_other_fields(api, two_enrollments, path):
    ada, math = two_enrollments
    path = f"/api/v1/{path.format(ada=ada.pk, math=math.pk)}"

    answer = api.get(f"{path}?fields=id")

    one = answer.json()["results"][0] if "results" in answer.json() else answer.json()
    assert (answer.status_code, list(one)) == (200, ["id"])
    unknown = api.get(f"{path}?fields=id,nonsense")
    assert (unknown.status_code, errors(unknown)) == (400, [("invalid_choice", "fields")])


def test_the_expand_parameter_renders_student_and_course_in_full(api, two_enrollments):
    ada, math = two_enrollments
    url = f"/api/v1/students/{ada.pk}/courses/{math.pk}"

    [listed] = rows(api, "enrollments?student=number:S-1&expand=student,course")
    single = api.get(f"{url}?expand=student&expand=course").json()

    assert listed == single
    assert single["student"] == api.get(f"/api/v1/students/{ada.pk}").json()
    course = api.get(f"/api/v1/courses/{math.pk}").json()
    assert single["course"] == {name: course[name] for name in course if name not in ("seats", "warnings")}


def test_expand_requires_the_read_scope_of_the_expanded_resource(make_client, two_enrollments):
    program = make_client("enrollments:read", "courses:read")

    refused = program.get("/api/v1/enrollments?expand=student")

    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert program.get("/api/v1/enrollments?expand=course").status_code == 200
    assert errors(program.get("/api/v1/enrollments?expand=grade")) == [("invalid_choice", "expand")]


def test_the_etag_of_a_response_changes_with_expanded_rows(api, two_enrollments):
    ada, math = two_enrollments
    url = f"/api/v1/students/{ada.pk}/courses/{math.pk}"
    plain, expanded = api.get(url)["ETag"], api.get(f"{url}?expand=student")["ETag"]

    api.patch(f"/api/v1/students/{ada.pk}", {"email": "other@school.example"})

    assert api.get(url)["ETag"] == plain
    assert api.get(f"{url}?expand=student")["ETag"] != expanded


@pytest.mark.parametrize("query", ["expand=student,course", "fields=id,student", "updated_since=2020-01-01T00:00:00Z"])
def test_a_list_with_fields_or_expand_takes_the_same_queries_for_any_size(api, actor, query):
    costs = []
    for size in (1, 20):
        for _ in range(size):
            course = make_course(term=make_term())
            enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
        with CaptureQueriesContext(connection) as queries:
            rows(api, f"enrollments?{query}")
        costs.append(cost_of(queries) - TOKEN)

    assert costs == [1, 1]  # the page


def roster(api, course, query=""):
    answer = api.get(f"/api/v1/courses/{course.pk}/students{query}", headers={"Accept": "text/csv"})
    assert answer.status_code == 200
    return answer, list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_a_roster_can_be_read_as_csv(api, actor):
    course = make_course(code="MATH", term=make_term(code="2026F"), capacity=1, waitlist_capacity=5)
    names = ["=HYPERLINK(1)", "Ada"]
    for number, name in enumerate(names):
        student = make_student(student_number=f"S-{number}", given_name=name, family_name="Byron, Lady")
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    answer, [first, second] = roster(api, course)

    today = timezone.localdate().isoformat()
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="roster.csv"'
    assert first == {
        "student_number": "S-0",
        "given_name": "'=HYPERLINK(1)",
        "family_name": "Byron, Lady",
        "course_code": "MATH",
        "term": "2026F",
        "section": "",
        "status": "enrolled",
        "waitlist_position": "",
        "enrolled_on": today,
        "ended_on": "",
        "grade": "",
    }
    assert (second["given_name"], second["status"], second["waitlist_position"]) == ("Ada", "waitlisted", "1")


def test_a_csv_roster_is_filtered_searched_ordered_and_unpaginated(api, actor):
    course = make_course()
    for number in range(60):
        student = make_student(student_number=f"S-{number}", family_name=f"Name {number:02}")
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    def numbers(query):
        return [row["student_number"] for row in roster(api, course, query)[1]]

    assert numbers("?ordering=-family_name") == [f"S-{number}" for number in reversed(range(60))]
    assert numbers("?student=number:S-7") == ["S-7"]
    assert numbers("?search=Name+07") == ["S-7"]
    assert numbers("?status=dropped") == []


def test_a_csv_roster_takes_the_same_queries_for_any_size(api, actor):
    course, costs = make_course(term=make_term(), capacity=5, waitlist_capacity=None), []
    for size in (1, 30):
        for _ in range(size):
            enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
        with CaptureQueriesContext(connection) as queries:
            roster(api, course)
        costs.append(cost_of(queries) - TOKEN)

    assert costs == [3, 3]  # the course, the record, the roster


@pytest.mark.parametrize("query", ["page_size=5", "cursor=x", "fields=id", "expand=student"])
def test_a_csv_roster_rejects_pagination_fields_and_expand(api, query):
    answer = api.get(f"/api/v1/courses/{make_course().pk}/students?{query}", headers={"Accept": "text/csv"})

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "invalid"


@pytest.mark.parametrize("path", ["courses/0/students", "courses/1/students?nonsense=1"])
def test_an_error_of_a_csv_request_is_a_json_problem(api, path):
    make_course(pk=1)

    answer = api.get(f"/api/v1/{path}", headers={"Accept": "text/csv"})

    assert (answer.status_code // 100, answer["Content-Type"]) == (4, "application/problem+json")
    assert answer.json()["errors"] != []


def test_lists_other_than_rosters_are_json_only(api):
    answer = api.get("/api/v1/students", headers={"Accept": "text/csv"})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
