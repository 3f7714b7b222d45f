"""Clients limited to terms or courses: visible and writable rows, beyond the table in tests/security/test_access.py."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bulk.jobs.processing import process_import
from bulk.models import Import
from courses.api_client_creation import create_api_client
from courses.models import Course, Term
from school.db.compiled_queries import StatementCache
from school.models import ApiClient
from students.enrollment import drop, enroll
from students.events import feed
from students.models import EnrollmentEvent, Status, Student, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import TOKEN, cost_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def fall(db):
    return make_term(code="2026F")


@pytest.fixture
def spring(db):
    return make_term(code="2027S")


@pytest.fixture
def calculus(fall):
    return make_course(code="MATH-101", term=fall)


@pytest.fixture
def spring_calculus(spring):
    return make_course(code="MATH-101", term=spring)


@pytest.fixture
def limited_to(db):
    def make(*, terms=(), courses=()):
        keys = create_api_client(
            f"client {ApiClient.objects.count()}", " ".join(settings.SCOPES), terms=terms, courses=courses
        )
        return bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)

    return make


def ids(client, path, **query):
    return [row["id"] for row in client.get(f"/api/v1/{path}", query).json()["results"]]


def code_of(answer):
    return answer.status_code, answer.json()["code"]


def test_a_client_limited_to_a_course_reads_its_term_and_changes_the_course_only(
    limited_to, fall, calculus, spring_calculus
):
    make_course(code="PHYS-1", term=fall)
    client = limited_to(courses=["MATH-101@2026F"])

    assert (ids(client, "courses"), ids(client, "terms")) == ([calculus.pk], [fall.pk])
    assert client.patch(f"/api/v1/courses/{calculus.pk}", {"capacity": 5}).status_code == 200
    assert code_of(client.patch(f"/api/v1/terms/{fall.pk}", {"name": "Autumn"})) == (403, "outside_limits")
    body = {"code": "NEW", "name": "New", "level": "introductory", "term": "2026F"}
    assert code_of(client.post("/api/v1/courses", body)) == (403, "outside_limits")


@pytest.mark.parametrize("term", ["2027S", None])
def test_a_limited_client_cannot_move_a_course_outside_its_limits(limited_to, calculus, spring, term):
    client = limited_to(terms=["2026F"])

    answer = client.patch(f"/api/v1/courses/{calculus.pk}", {"term": term})

    assert code_of(answer) == ((400, "invalid") if term else (403, "outside_limits"))
    assert Course.objects.get().term == calculus.term


def test_a_limited_client_sees_students_and_enrollments_of_its_courses_only(
    limited_to, calculus, spring_calculus, actor
):
    shared, ended, foreign = (make_student() for _ in range(3))
    for student, course in (
        (shared, calculus),
        (shared, spring_calculus),
        (ended, calculus),
        (foreign, spring_calculus),
    ):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=ended.pk, course_id=calculus.pk, actor=actor)
    client = limited_to(terms=["2026F"])

    assert ids(client, "students") == [shared.pk, ended.pk]
    own = StudentCourse.objects.get(student=shared, course=calculus)
    assert ids(client, f"students/{shared.pk}/courses", status="all") == [own.pk]
    assert code_of(client.get(f"/api/v1/students/{shared.pk}/courses/{spring_calculus.pk}")) == (
        404,
        "course_not_found",
    )
    assert code_of(client.get(f"/api/v1/students/number:{foreign.student_number}")) == (404, "student_not_found")
    assert code_of(client.patch(f"/api/v1/students/{shared.pk}", {"email": ""})) == (403, "outside_limits")


def test_a_limited_client_can_enroll_any_student_in_its_own_course(limited_to, calculus, spring_calculus):
    student = make_student()
    client = limited_to(terms=["2026F"])
    url = f"/api/v1/students/{student.pk}/courses"

    assert code_of(client.post(url, {"course_id": spring_calculus.pk})) == (404, "course_not_found")
    assert code_of(client.get(url)) == (404, "student_not_found")
    assert (
        client.post(url, {"course_code": "MATH-101"}).status_code == 201
    )  # the other course with this code is not visible
    assert client.get(url).status_code == 200


def test_batch_items_outside_the_limits_are_not_found_and_the_others_run(limited_to, calculus, spring_calculus):
    student = make_student()
    client = limited_to(terms=["2026F"])
    courses = [
        {"course_id": calculus.pk},
        {"course_id": spring_calculus.pk},
        {"course_code": "MATH-101", "term": "2027S"},
    ]
    items = [{"action": "enroll", "student_id": student.pk, **course} for course in courses]

    answer = client.post("/api/v1/enrollments/batch", {"items": items})

    outcomes = [(outcome["status"], outcome["code"]) for outcome in answer.json()["outcomes"]]
    assert (answer.status_code, outcomes) == (207, [("created", None), *[("not_found", "course_not_found")] * 2])
    assert [each.course for each in StudentCourse.objects.all()] == [calculus]


def test_the_change_feed_contains_only_events_within_the_limits(limited_to, calculus, spring_calculus, actor):
    student = make_student()
    client = limited_to(terms=["2026F"])
    for course in (spring_calculus, calculus, spring_calculus):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    drop(student_id=student.pk, course_id=spring_calculus.pk, actor=actor)

    page = client.get("/api/v1/changes").json()
    latest = client.get("/api/v1/changes", {"after": "latest"}).json()
    drop(student_id=student.pk, course_id=calculus.pk, actor=actor)
    after = client.get("/api/v1/changes", {"after": page["cursor"]}).json()

    assert [change["course"]["id"] for change in page["results"]] == [calculus.pk]
    assert (page["cursor"], page["has_more"]) == (latest["cursor"], False)
    assert [change["to_status"] for change in after["results"]] == [Status.DROPPED]


def test_the_change_feed_continues_after_a_full_page_within_the_limits(limited_to, calculus, spring_calculus, actor):
    client = limited_to(terms=["2026F"])
    for _ in range(3):
        student = make_student()
        for course in (calculus, spring_calculus):
            enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    seen, cursor, more = [], "", True
    while more:
        page = client.get("/api/v1/changes", {"after": cursor, "limit": 2}).json()
        seen += [change["course"]["id"] for change in page["results"]]
        cursor, more = page["cursor"], page["has_more"]

    assert seen == [calculus.pk] * 3


@pytest.mark.skipif(connection.vendor != "sqlite", reason="on PostgreSQL a page ends at the horizon")
@pytest.mark.parametrize("statement", range(1, 5))
def test_an_event_written_between_the_queries_of_a_page_is_sent_once(limited_to, calculus, actor, statement):
    client = limited_to(terms=["2026F"])
    enroll(student_id=make_student().pk, course_id=calculus.pk, actor=actor)
    queries = 0

    def enroll_after_a_query(execute, sql, params, many, context):
        nonlocal queries
        rows = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "students_enrollmentevent" in sql:
            queries += 1
            if queries == statement:
                enroll(student_id=make_student().pk, course_id=calculus.pk, actor=actor)
        return rows

    with connection.execute_wrapper(enroll_after_a_query):
        pages = [client.get("/api/v1/changes").json()]
        pages.append(client.get("/api/v1/changes", {"after": pages[0]["cursor"]}).json())
    pages.append(client.get("/api/v1/changes", {"after": pages[1]["cursor"]}).json())

    found = [entry["id"] for page in pages for entry in page["results"]]
    assert found == list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert len(found) == 2


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_the_change_feed_scans_a_bounded_number_of_events_for_a_page(
    limited_to, calculus, spring_calculus, actor, monkeypatch, window
):
    monkeypatch.setattr(feed, "SCAN_WINDOW", window)
    monkeypatch.setattr(feed, "_statements", StatementCache())
    client = limited_to(terms=["2026F"])
    for course in (
        spring_calculus,
        spring_calculus,
        spring_calculus,
        calculus,
        calculus,
        spring_calculus,
        spring_calculus,
    ):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)

    pages = [client.get("/api/v1/changes", {"limit": 1, "wait": 1}).json()]
    while pages[-1]["has_more"]:
        pages.append(client.get("/api/v1/changes", {"limit": 1, "wait": 1, "after": pages[-1]["cursor"]}).json())

    seen = [[change["course"]["id"] for change in page["results"]] for page in pages]
    assert sum(seen, []) == [calculus.pk] * 2
    assert bool(seen[0]) == (window > 3)
    assert pages[-1]["cursor"] == client.get("/api/v1/changes", {"after": "latest"}).json()["cursor"]


def send(client, text, **options):
    query = "&".join(f"{name}={value}" for name, value in {"kind": "enrollments", **options}.items())
    return client.post(f"/api/v1/imports?{query}", text.encode(), content_type="text/csv")


def test_import_rows_outside_the_limits_are_errors(limited_to, calculus, spring_calculus):
    number = make_student().student_number
    client = limited_to(terms=["2026F"])
    rows = f"student_number,course_code,term\n{number},MATH-101,2026F\n{number},MATH-101,2027S\n"

    sent = send(client, rows, on_error="skip", review="needed")
    process_import(sent.json()["id"])

    report = json.loads(b"".join(client.get(f"/api/v1/imports/{sent.json()['id']}/report")))
    outcomes = [(row["outcome"], [error["code"] for error in row["errors"]]) for row in report]
    assert outcomes == [("enrolled", []), ("error", ["course_not_found"])]
    assert [each.course for each in StudentCourse.objects.all()] == [calculus]


@pytest.mark.parametrize("kind", ["students", "courses", "zip"])
def test_a_limited_client_can_send_only_enrollment_files(limited_to, fall, kind):
    answer = send(limited_to(terms=["2026F"]), "code\n", kind=kind)

    assert code_of(answer) == (403, "outside_limits")
    assert Import.objects.count() == 0


def test_a_full_file_of_a_term_requires_a_limit_to_that_term(limited_to, calculus):
    client = limited_to(courses=["MATH-101@2026F"])
    rows = "student_number,course_code\n"

    assert code_of(send(client, rows, mode="full", scope="term:2026F")) == (404, "term_not_found")
    assert send(client, rows, mode="full", scope="course:MATH-101@2026F").status_code == 202


def test_an_identical_file_of_another_client_is_not_returned(limited_to, api, calculus):
    number = make_student().student_number
    rows = f"student_number,course_code,term\n{number},MATH-101,2026F\n"
    first = send(api, rows, review="needed")
    process_import(first.json()["id"])

    again, own = send(api, rows, review="needed"), send(limited_to(terms=["2026F"]), rows, review="needed")

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert (own.status_code, own.json()["id"] == first.json()["id"]) == (202, False)


def test_a_limited_client_whose_terms_were_deleted_sees_nothing(limited_to, fall):
    client = limited_to(terms=["2026F"])
    Term.objects.all().delete()
    make_course()

    assert [ids(client, name) for name in ("courses", "terms", "students", "enrollments")] == [[]] * 4


def test_a_filter_by_code_finds_only_courses_within_the_limits(limited_to, calculus, spring_calculus, api):
    client = limited_to(terms=["2026F"])

    assert api.get("/api/v1/enrollments", {"course": "code:MATH-101"}).status_code == 400  # ambiguous
    assert client.get("/api/v1/enrollments", {"course": "code:MATH-101"}).status_code == 200


def test_create_api_client_limits_a_client_to_terms_and_courses(calculus, spring_calculus, capsys):
    call_command("create_api_client", "portal", scope="courses:read", term=["2027S"], course=["MATH-101@2026F"])

    client = ApiClient.objects.get()
    assert client.is_limited
    assert ([*client.terms.all()], [*client.courses.all()]) == ([spring_calculus.term], [calculus])


@pytest.mark.parametrize("options", [{"term": ["2030F"]}, {"course": ["MATH-101"]}, {"course": ["NONE@2026F"]}])
def test_create_api_client_rejects_unknown_or_ambiguous_limits(calculus, spring_calculus, options):
    with pytest.raises(CommandError):
        call_command("create_api_client", "portal", scope="courses:read", **options)

    assert ApiClient.objects.count() == 0


def test_the_limits_of_a_client_can_be_set_in_the_admin(limited_to, admin_client, calculus):
    keys = create_api_client("portal", "courses:read")
    client = ApiClient.objects.get(client_id=keys.client_id)
    api = bearer(client, ["courses:read"])
    make_course(code="OTHER")
    form: dict[str, Any] = {"name": "portal", "scope": "courses:read", "is_limited": "on", "courses": [calculus.pk]}
    form |= {"accesstoken_set-TOTAL_FORMS": 0, "accesstoken_set-INITIAL_FORMS": 0}

    before = len(ids(api, "courses"))
    answer = admin_client.post(f"/admin/school/apiclient/{client.pk}/change/", form)

    assert (before, answer.status_code, ids(api, "courses")) == (2, 302, [calculus.pk])


def test_limits_take_two_queries_for_any_number_of_rows(limited_to, fall, actor):
    client, costs = limited_to(terms=["2026F"]), []
    client.get("/api/v1/terms")  # updates the last use
    for size in (1, 20):
        for _ in range(size):
            enroll(student_id=make_student().pk, course_id=make_course(term=fall).pk, actor=actor)
        with CaptureQueriesContext(connection) as queries:
            ids(client, "enrollments")
        costs.append(cost_of(queries) - TOKEN)

    assert costs == [3, 3]  # its courses and its terms, and the page


@pytest.mark.parametrize("number", ["taken", "new"])
def test_a_limited_client_cannot_add_students_or_probe_for_taken_numbers(limited_to, fall, number):
    make_student(student_number="taken")
    client = limited_to(terms=["2026F"])
    body = {"student_number": number, "given_name": "Ada", "family_name": "Byron"}

    assert code_of(client.post("/api/v1/students", body)) == (403, "outside_limits")
    assert Student.objects.count() == 1


def test_an_unlimited_client_reads_everything_without_an_extra_query(api, calculus):
    assert APIClient().get("/api/v1/courses").status_code == 401
    assert ids(api, "courses") == [calculus.pk]


def test_an_undo_reverts_only_rows_within_the_current_limits(limited_to, calculus, spring_calculus):
    number = make_student().student_number
    client = limited_to(terms=["2026F", "2027S"])
    rows = f"student_number,course_code,term\n{number},MATH-101,2026F\n{number},MATH-101,2027S\n"
    sent = send(client, rows, review="needed").json()["id"]
    process_import(sent)
    ApiClient.objects.get().terms.remove(spring_calculus.term)

    undo = client.post(f"/api/v1/imports/{sent}/undo", {"dry_run": False})
    process_import(undo.json()["id"])

    outcomes = {each.course: each.status for each in StudentCourse.objects.all()}
    assert outcomes == {calculus: Status.DROPPED, spring_calculus: Status.ENROLLED}
