"""Enrolling, dropping, completing and reading enrollments through the API."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from students.enrollment import complete, drop, enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import TOKEN, cost_of

pytestmark = pytest.mark.django_db


def url(student, course=None):
    return f"/api/v1/students/{student.pk}/courses" + (f"/{course.pk}" if course else "")


def seat(student, course, actor):
    return enroll(student_id=student.pk, course_id=course.pk, actor=actor).enrollment


def test_enrolling_answers_201_with_the_enrollment_and_its_location(api):
    student = make_student(student_number="S-1042", given_name="Ada", family_name="Byron")
    course = make_course(code="MATH-101", name="Calculus I", term=make_term(code="2026F"))

    answer = api.post(url(student), {"course_id": course.pk, "reason": "transfer"})

    enrollment = StudentCourse.objects.get()
    assert answer.status_code == 201
    assert answer["Location"] == f"http://testserver{url(student, course)}"
    assert answer.json() == {
        "id": enrollment.pk,
        "student": {"id": student.pk, "student_number": "S-1042", "given_name": "Ada", "family_name": "Byron"},
        "course": {
            "id": course.pk,
            "code": "MATH-101",
            "name": "Calculus I",
            "level": "introductory",
            "term": "2026F",
            "section": "",
        },
        "status": "enrolled",
        "waitlist_position": None,
        "instead_of": None,
        "enrolled_on": timezone.localdate().isoformat(),
        "ended_on": None,
        "grade": "",
        "version": 1,
        "created_at": enrollment.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": enrollment.updated_at.isoformat().replace("+00:00", "Z"),
    }
    assert api.get(answer["Location"]).json() == answer.json()


def test_the_journal_records_client_reason_and_request(api):
    answer = api.post(url(make_student()), {"course_id": make_course().pk, "reason": "transfer"})

    event = EnrollmentEvent.objects.get()
    assert (event.channel, str(event.actor)[:8], event.reason) == ("api", "client:p", "transfer")
    assert event.request_id == answer["X-Request-ID"]


@pytest.mark.parametrize("with_slash", ["", "/"])
def test_a_repeated_request_answers_200_with_the_same_enrollment(api, with_slash):
    student, course = make_student(), make_course()
    first = api.post(url(student), {"course_id": course.pk})

    again = api.post(url(student) + with_slash, {"course_id": course.pk})

    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize(
    "body",
    [{"course_code": "MATH-101", "term": "2026F"}, {"course_code": "MATH-101"}],
    ids=["code and term", "code alone"],
)
def test_a_course_can_be_identified_by_its_code(api, body):
    course = make_course(code="MATH-101", term=make_term(code="2026F"))

    answer = api.post(url(make_student()), body)

    assert (answer.status_code, answer.json()["course"]["id"]) == (201, course.pk)


def test_a_code_used_in_several_terms_needs_the_term(api):
    for code in ("2026F", "2027S"):
        make_course(code="MATH-101", term=make_term(code=code))

    answer = api.post(url(make_student()), {"course_code": "MATH-101"})

    assert (answer.status_code, answer.json()["code"]) == (409, "course_ambiguous")
    assert answer.json()["detail"] == "MATH-101 is offered in several terms (2026F, 2027S). Add the term."


def test_natural_keys_work_in_urls(api, actor):
    student = make_student(student_number="S-1042")
    course = make_course(code="MATH-101", term=make_term(code="2026F"))
    seat(student, course, actor)

    for address in ("code:MATH-101@2026F", "code:MATH-101", str(course.pk)):
        answer = api.get(f"/api/v1/students/number:S-1042/courses/{address}")
        assert (answer.status_code, answer.json()["course"]["id"]) == (200, course.pk)


@pytest.mark.parametrize(
    ("student", "course", "codes"),
    [
        ({"is_active": False}, {}, ["student_inactive"]),
        ({}, {"is_active": False}, ["course_inactive"]),
        ({}, {"enrollment_opens_at": timezone.now() + timedelta(days=1)}, ["enrollment_not_open"]),
        ({}, {"enrollment_closes_at": timezone.now() - timedelta(days=1)}, ["enrollment_closed"]),
        ({}, {"capacity": 0}, ["course_full"]),
        (
            {"is_active": False},
            {"is_active": False, "capacity": 0},
            ["student_inactive", "course_inactive", "course_full"],
        ),
    ],
)
def test_a_refusal_is_409_with_every_reason_and_changes_nothing(api, student, course, codes):
    answer = api.post(url(make_student(**student)), {"course_id": make_course(code="MATH-101", **course).pk})

    problem = answer.json()
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert (problem["status"], problem["code"], problem["type"]) == (409, codes[0], f"/problems/{codes[0]}")
    assert [error["code"] for error in problem["errors"]] == codes
    assert problem["detail"] == " ".join(error["message"] for error in problem["errors"])
    assert problem["request_id"] == answer["X-Request-ID"]
    assert StudentCourse.objects.count() == 0


def test_the_response_for_a_full_course_has_every_problem_field(api):
    course = make_course(code="MATH-101", capacity=0)

    answer = api.post(url(make_student()), {"course_id": course.pk})

    assert answer.json() == {
        "type": "/problems/course_full",
        "title": "Course is full",
        "status": 409,
        "detail": "MATH-101 has no free seat.",
        "code": "course_full",
        "errors": [{"code": "course_full", "field": None, "message": "MATH-101 has no free seat."}],
        "request_id": answer["X-Request-ID"],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("get", "/api/v1/students/{missing}/courses", None, "student_not_found"),
        ("post", "/api/v1/students/{missing}/courses", {"course_id": 1}, "student_not_found"),
        ("get", "/api/v1/students/number:nobody/courses", None, "student_not_found"),
        ("get", "/api/v1/students/99999999999999999999/courses", None, "student_not_found"),
        ("get", "/api/v1/students/{student}/courses/{missing}", None, "course_not_found"),
        ("get", "/api/v1/students/{student}/courses/code:NONE", None, "course_not_found"),
        ("get", "/api/v1/students/{student}/courses/code:MATH-101@none", None, "course_not_found"),
        ("delete", "/api/v1/students/{student}/courses/{missing}", None, "course_not_found"),
        ("patch", "/api/v1/students/{student}/courses/{missing}", {"status": "completed"}, "course_not_found"),
        ("post", "/api/v1/students/{student}/courses", {"course_id": 2**62}, "course_not_found"),
        ("post", "/api/v1/students/{student}/courses", {"course_code": "NONE"}, "course_not_found"),
        ("get", "/api/v1/students/{student}/courses/{course}", None, "not_enrolled"),
        ("delete", "/api/v1/students/{student}/courses/{course}", None, "not_enrolled"),
        ("patch", "/api/v1/students/{student}/courses/{course}", {"status": "completed"}, "not_enrolled"),
        ("get", "/api/v1/courses/{missing}/students", None, "course_not_found"),
        ("get", "/api/v1/enrollments/{missing}", None, "not_found"),
        ("get", "/api/v1/enrollments/99999999999999999999", None, "not_found"),
    ],
)
def test_a_missing_student_course_or_enrollment_is_404_with_its_code(api, method, path, body, code):
    student, course = make_student(), make_course(code="MATH-101")
    path = path.format(student=student.pk, course=course.pk, missing=2**62)

    answer = getattr(api, method)(path, body)

    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_dropping_answers_204_also_the_second_time_and_keeps_the_row(api, actor):
    student, course = make_student(), make_course()
    enrollment = seat(student, course, actor)

    assert [api.delete(url(student, course)).status_code for _ in range(2)] == [204, 204]
    enrollment.refresh_from_db()
    assert (enrollment.status, enrollment.version) == ("dropped", 2)


def test_a_dropped_student_can_enroll_again(api, actor):
    student, course = make_student(), make_course()
    old = seat(student, course, actor)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)

    answer = api.post(url(student), {"course_id": course.pk})

    assert answer.status_code == 201
    assert api.get(url(student, course)).json()["id"] == answer.json()["id"] != old.pk


def test_completing_stores_a_grade_and_a_corrected_grade(api, actor):
    student, course = make_student(), make_course()
    seat(student, course, actor)

    first = api.patch(url(student, course), {"status": "completed", "grade": "B"})
    second = api.patch(url(student, course), {"status": "completed", "grade": "A"})

    assert [(a.status_code, a.json()["status"], a.json()["grade"]) for a in (first, second)] == [
        (200, "completed", "B"),
        (200, "completed", "A"),
    ]


def test_an_ended_enrollment_cannot_be_reopened(api, actor):
    student, course = make_student(), make_course()
    seat(student, course, actor)
    complete(student_id=student.pk, course_id=course.pk, actor=actor)

    answer = api.delete(url(student, course))

    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("which_course", None)]),
        ({"course_id": 1, "course_code": "MATH-101"}, [("which_course", None)]),
        ({"course_id": 1, "term": "2026F"}, [("term_of_code", "term")]),
        ({"course_id": "1"}, [("invalid", "course_id")]),
        ({"course_id": True}, [("invalid", "course_id")]),
        ({"course_id": 1.5}, [("invalid", "course_id")]),
        ({"course_id": None}, [("null", "course_id")]),
        ({"course_id": 2**63}, [("max_value", "course_id")]),
        ({"course_id": -1}, [("min_value", "course_id")]),
        ({"course_code": 5}, [("invalid", "course_code")]),
        ({"course_code": "A\0B"}, [("null_characters_not_allowed", "course_code")]),
        ({"course_id": 1, "waiting": True, "x": 1}, [("unknown_field", "waiting"), ("unknown_field", "x")]),
        ({"course_id": 1, "on_full": "queue"}, [("invalid_choice", "on_full")]),
        ({"course_id": 1, "waive": "course_full", "reason": "x"}, [("not_a_list", "waive")]),
        ({"course_id": 1, "waive": ["course_full"]}, [("waiver_needs_reason", "reason")]),
        ({"course_id": 1, "waive": ["course_full"], "reason": " "}, [("waiver_needs_reason", "reason")]),
        (
            {"course_id": 1, "waive": ["student_inactive", "x"]},
            [("not_waivable", "waive"), ("not_waivable", "waive"), ("waiver_needs_reason", "reason")],
        ),
        (
            {"course_id": "x", "term": 5, "y": 1},
            [("invalid", "course_id"), ("invalid", "term"), ("unknown_field", "y")],
        ),
        ([], [("invalid", None)]),
        ("text", [("invalid", None)]),
        (None, [("which_course", None)]),
    ],
)
def test_an_invalid_body_is_400_with_every_error(api, body, errors):
    answer = api.post(url(make_student()), body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == errors


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("required", "status")]),
        ({"status": "dropped"}, [("invalid_choice", "status")]),
        ({"status": "completed", "grade": "x" * 33}, [("max_length", "grade")]),
        ({"status": "completed", "grade": 1}, [("invalid", "grade")]),
        ({"status": "completed", "grade": "A\rB"}, [("control_characters", "grade")]),
    ],
)
def test_completing_requires_the_status_field(api, actor, body, errors):
    student, course = make_student(), make_course()
    seat(student, course, actor)

    answer = api.patch(url(student, course), body)

    assert answer.status_code == 400
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == errors


@pytest.fixture
def three_statuses(actor):
    """A student who is enrolled in one course, has completed one and has dropped one."""
    student = make_student()
    courses = [
        make_course(code=f"C-{n}", level=level) for n, level in enumerate(["introductory", "advanced", "graduate"])
    ]
    for course in courses:
        seat(student, course, actor)
    complete(student_id=student.pk, course_id=courses[1].pk, actor=actor)
    drop(student_id=student.pk, course_id=courses[2].pk, actor=actor)
    return student


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["C-0"]),
        ("?status=all", ["C-0", "C-1", "C-2"]),
        ("?status=completed", ["C-1"]),
        ("?status=completed,dropped", ["C-1", "C-2"]),
        ("?status=completed&status=enrolled", ["C-0", "C-1"]),
        ("?status=all&level=graduate", ["C-2"]),
        ("?status=all&course_code=C-1", ["C-1"]),
        ("?status=all&ordering=-course_code", ["C-2", "C-1", "C-0"]),
        ("?status=all&ordering=-id", ["C-2", "C-1", "C-0"]),
    ],
)
def test_the_courses_of_a_student_can_be_filtered_and_ordered(api, three_statuses, query, expected):
    answer = api.get(url(three_statuses) + query)

    assert [enrollment["course"]["code"] for enrollment in answer.json()["results"]] == expected


def test_the_roster_lists_the_students_of_the_course(api, actor):
    course = make_course(code="MATH-101")
    ada, bob, gone = (make_student(family_name=name) for name in ("Byron", "Adams", "Crane"))
    for student in (ada, bob, gone):
        seat(student, course, actor)
    drop(student_id=gone.pk, course_id=course.pk, actor=actor)
    seat(make_student(), make_course(), actor)

    answer = api.get("/api/v1/courses/code:MATH-101/students?ordering=family_name")

    assert [enrollment["student"]["id"] for enrollment in answer.json()["results"]] == [bob.pk, ada.pk]


def test_the_enrollment_list_supports_every_filter(api, actor):
    student, course = make_student(student_number="S-1"), make_course(code="M-1", term=make_term(code="2026F"))
    enrollment = seat(student, course, actor)
    seat(make_student(), make_course(), actor)

    for query in (
        f"student={student.pk}",
        f"course={course.pk}",
        "student_number=S-1",
        "course_code=M-1",
        "term=2026F",
    ):
        answer = api.get(f"/api/v1/enrollments?{query}")
        assert [each["id"] for each in answer.json()["results"]] == [enrollment.pk], query


def test_an_ended_enrollment_is_retrieved_by_its_id(api, actor):
    student, course = make_student(), make_course()
    enrollment = seat(student, course, actor)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)

    assert api.get(f"/api/v1/enrollments/{enrollment.pk}").json()["status"] == "dropped"


@pytest.mark.parametrize("corrections", [1, 20])
def test_the_journal_of_an_enrollment_is_read_in_one_query_at_any_length(api, actor, corrections):
    student, course = make_student(), make_course()
    enrollment = seat(student, course, actor)
    for number in range(corrections):
        complete(student_id=student.pk, course_id=course.pk, grade=str(number), actor=actor)
    seat(make_student(), course, actor)

    with CaptureQueriesContext(connection) as queries:
        answer = api.get(f"/api/v1/enrollments/{enrollment.pk}/events")

    assert cost_of(queries) - TOKEN == 1
    lines = answer.json()["results"]
    assert [line["changes"].get("grade", ["", ""])[1] for line in lines] == ["", *map(str, range(corrections))]
    assert {(line["channel"], line["actor"]) for line in lines} == {("system", None)}


def test_timestamps_are_utc_in_every_time_zone_of_the_school(api, settings):
    settings.TIME_ZONE = "America/New_York"

    answer = api.post(url(make_student()), {"course_id": make_course().pk})

    assert answer.json()["created_at"][-1] == "Z"


def test_enrolling_a_waitlisted_student_by_a_waiver_answers_200(api, actor):
    course = make_course(capacity=1, waitlist_capacity=3)
    waiting = [make_student() for _ in range(3)]
    for student in (make_student(), *waiting):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    wish = {"course_id": course.pk, "waive": ["course_full"], "reason": "graduates"}

    # One by the fast path, one by the general path, one in a batch.
    plain = api.post(f"/api/v1/students/{waiting[0].pk}/courses", wish, format="json")
    general = api.post(f"/api/v1/students/{waiting[1].pk}/courses?", wish, format="json", HTTP_IDEMPOTENCY_KEY="k")
    item = {"action": "enroll", "student_id": waiting[2].pk, **wish}
    batch = api.post("/api/v1/enrollments/batch", {"items": [item]}, format="json")

    for answer in (plain, general):
        assert (answer.status_code, answer.json()["status"], "Location" in answer) == (200, "enrolled", False)
    [outcome] = batch.json()["outcomes"]
    assert (batch.status_code, outcome["status"], outcome["enrollment"]["status"]) == (200, "updated", "enrolled")


def test_enrolling_a_dropped_student_by_a_waiver_answers_201(api, actor):
    student, course = make_student(), make_course(capacity=0)
    wish = {"course_id": course.pk, "waive": ["course_full"], "reason": "graduates"}
    statuses = []

    for _ in range(2):
        statuses.append(api.post(f"/api/v1/students/{student.pk}/courses", wish, format="json").status_code)
        api.delete(f"/api/v1/students/{student.pk}/courses/{course.pk}")

    assert statuses == [201, 201]
