"""Plain pages on the shortest way are what the general way answers."""

from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.http import Http404

from school.api.printing import printer, row_in_json
from students.acts import OnFull, Origin
from students.enrollment import complete, enroll, enroll_many
from students.models import Channel, Student, StudentCourse
from students.serializers import CourseWithSeatsSerializer, EnrollmentSerializer
from students.views import express
from students.views.enrolling import enrolling
from tests.factories import make_course, make_student, make_term

GENERALLY = "application/json;q=0.9"  # JSON all the same, and asked for in a way that only DRF looks at
ORIGIN = Origin(Channel.SYSTEM)

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="Only PostgreSQL writes JSON.")


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note by which way each answer comes."""
    ways: list[str] = []
    for each in (express.student_courses, express.roster, express.enrollments, express.changes, enrolling):
        answer = each.answer

        def noting(request: Any, arguments: Any, answer: Any = answer) -> Any:
            found: Any = "raised"
            try:
                found = answer(request, arguments)
            finally:
                ways.append("express" if found else "general")
            return found

        monkeypatch.setattr(each, "answer", noting)
    return ways


@pytest.fixture
def full_house() -> tuple[Student, Any]:
    """A student with courses of all kinds, and a course with seven enrolled and three in line."""
    student = make_student(given_name='Zoë "Ζ" \\ </script>\u2028', family_name="Li\tu")
    course = make_course(term=make_term(code="2026F"), capacity=7, waitlist_capacity=3, name="Größe & Maß")
    crowd = [student, *(make_student() for _ in range(9))]
    enroll_many([(each.pk, course.pk) for each in crowd], origin=ORIGIN, on_full=OnFull.WAITLIST)
    for _ in range(4):
        enroll(student_id=student.pk, course_id=make_course().pk, origin=ORIGIN)
    done = make_course()
    enroll(student_id=student.pk, course_id=done.pk, origin=ORIGIN)
    complete(student_id=student.pk, course_id=done.pk, grade="A", origin=ORIGIN)
    StudentCourse.objects.filter(course=course, student=crowd[1]).update(created_at="2026-01-02T03:04:05Z")
    return student, course


def addresses(student: Student, course: Any) -> list[str]:
    return [
        f"/api/v1/students/{student.pk}/courses",
        f"/api/v1/courses/{course.pk}/students",
        "/api/v1/enrollments",
    ]


def spelt_out(content: bytes) -> bytes:
    """Return JSON with the one letter in it that DRF writes by its number."""
    return content.replace("\u2028".encode(), rb"\u2028")


@on_postgresql
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("size", ["", "?page_size=1", "?page_size=4", "?page_size=12", "?page_size=500"])
def test_both_ways_answer_the_same_page_after_page_and_back(api, full_house, answered, place, size):
    address = addresses(*full_house)[place] + size
    backwards: list[str] = []
    pages = 0
    while address:
        short, long = api.get(address), api.get(address, HTTP_ACCEPT=GENERALLY)

        assert spelt_out(short.content) == long.content
        told = short.json()
        pages += 1
        if told["previous"]:
            backwards.append(told["previous"])
        address = told["next"]
    for address in reversed(backwards):
        short, long = api.get(address), api.get(address, HTTP_ACCEPT=GENERALLY)
        assert spelt_out(short.content) == long.content
    assert answered == ["express", "general"] * (pages + len(backwards))


@on_postgresql
@pytest.mark.parametrize("place", range(3))
def test_no_header_of_the_general_way_is_missed_on_the_short_one_or_told_otherwise(api, full_house, answered, place):
    address = addresses(*full_house)[place]

    short, long = (dict(api.get(address, HTTP_ACCEPT=accept).items()) for accept in ("*/*", GENERALLY))

    changing = {"Content-Length", "ETag", "RateLimit", "X-Request-ID"}
    assert [set(short) - set(long), set(long) - set(short)] == [set(), {"Allow"}]  # DRF tells what else it would take
    assert {name: short[name] for name in short if name not in changing} == {
        name: long[name] for name in long if name not in {*changing, "Allow"}
    }
    assert answered == ["express", "general"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("gone"), 503, "busy"),
        (OverflowError("too large"), 400, "bad_request"),
        (IntegrityError("a student who was there a moment ago"), 409, "conflict"),
        (Http404(), 404, "not_found"),
        (ZeroDivisionError(), 500, "server_error"),
    ],
)
def test_what_goes_wrong_on_the_short_way_is_a_problem_as_everywhere(api, monkeypatch, error, status, code):
    def answer(request: Any, arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(express.enrollments, "answer", answer)
    api.raise_request_exception = False

    found = api.get("/api/v1/enrollments")

    assert (found.status_code, found.json()["code"]) == (status, code)
    assert found.json()["request_id"] == found["X-Request-ID"]


@on_postgresql
@pytest.mark.parametrize("place", range(3))
def test_who_has_a_page_is_told_so(api, full_house, answered, place):
    address = addresses(*full_house)[place]
    tag = api.get(address)["ETag"]

    again = api.get(address, HTTP_IF_NONE_MATCH=tag)
    enroll(student_id=full_house[0].pk, course_id=make_course().pk, origin=ORIGIN)
    Student.objects.filter(pk=full_house[0].pk).update(given_name="Eva")
    changed = api.get(address, HTTP_IF_NONE_MATCH=tag)

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert changed.status_code == 200
    assert answered == ["express"] * 3


@pytest.mark.parametrize(
    "question",
    [
        "?status=all",
        "?ordering=-id",
        "?fields=id",
        "?page_size=0",
        "?page_size=501",
        "?cursor=x",
        "?page_size=5&page_size=6",
        "?nonsense=1",
        "?page_size",
    ],
)
def test_whatever_else_is_asked_for_goes_the_general_way(api, full_house, answered, question):
    found = [api.get(f"{address}{question}").status_code for address in addresses(*full_house)]

    expected = [200] * 3 if question in ("?status=all", "?ordering=-id", "?fields=id") else [400] * 3
    if question == "?page_size=5&page_size=6":
        expected = [200] * 3
    assert (found, answered) == (expected, ["general"] * 3)


def test_what_is_not_there_goes_the_general_way(api, answered):
    addresses = ("/api/v1/students/999999/courses", "/api/v1/courses/999999/students")

    assert [api.get(address).status_code for address in addresses] == [404, 404]
    assert answered == ["general"] * 2


@on_postgresql
def test_a_list_may_be_empty(api, answered):
    addresses = [f"/api/v1/students/{make_student().pk}/courses", f"/api/v1/courses/{make_course().pk}/students"]

    for address in (*addresses, "/api/v1/enrollments"):
        told, expected = api.get(address), api.get(address, HTTP_ACCEPT=GENERALLY)
        assert (told.status_code, told.json()) == (200, expected.json())
        assert api.get(address, HTTP_IF_NONE_MATCH=told["ETag"]).status_code == 304
    assert answered == ["express", "general", "express"] * 3


def test_nobody_gets_in_by_the_short_way(api, make_client, client, registrars_desk, full_house, answered):
    address = addresses(*full_house)[0]
    other = make_client("courses:read")
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    statuses = [each.get(address).status_code for each in (api, other, registrars_desk)]

    assert (statuses, answered) == ([401, 403, 200], ["general"] * 2)  # of a session none is asked


@on_postgresql
def test_a_request_is_counted_once_whichever_way_it_goes(api, settings, full_house):
    settings.API_RATE_CLIENT = 4
    student, course = full_house
    gone = "/api/v1/students/999999/courses"

    found = [api.get(address) for address in (*addresses(student, course), gone, "/api/v1/enrollments", gone)]

    assert [each.status_code for each in found] == [200, 200, 200, 404, 429, 429]
    assert [each["RateLimit"].partition(";t")[0] for each in found] == [
        f'"client";r={left}' for left in (3, 2, 1, 0, 0, 0)
    ]


@on_postgresql
def test_without_a_limit_nothing_is_said_of_one(api, settings, full_house, answered):
    settings.API_RATE_CLIENT = 0

    assert "RateLimit" not in api.get("/api/v1/enrollments")
    assert answered == ["express"]


@on_postgresql
@pytest.mark.parametrize("limit", [1, 4, 100, 500])
def test_both_ways_tell_the_same_changes(api, full_house, answered, limit):
    cursor, pages, more = "", 0, True
    while more:
        address = f"/api/v1/changes?limit={limit}&after={cursor}"
        told, expected = api.get(address).json(), api.get(address, HTTP_ACCEPT=GENERALLY).json()

        assert told == expected
        pages += 1
        cursor, more = told["cursor"], told["has_more"]

    assert told["results"] or limit < 500
    assert answered == ["express", "general"] * pages


@pytest.mark.parametrize(
    ("question", "status"),
    [("limit=0", 400), ("limit=", 400), ("after=x", 400), ("after=latest", 200), ("wait=1", 200), ("more=1", 400)],
)
def test_other_questions_to_the_feed_go_the_general_way(api, full_house, answered, question, status):
    assert (api.get(f"/api/v1/changes?{question}").status_code, answered) == (status, ["general"])


@on_postgresql
def test_a_pooler_that_knows_no_prepared_statements_can_be_had(api, settings, full_house, answered):
    settings.PREPARED_STATEMENTS = False
    address = addresses(*full_house)[0]

    told, expected = api.get(address).json(), api.get(address, HTTP_ACCEPT=GENERALLY).json()

    assert (told, answered) == (expected, ["express", "general"])


def test_a_row_is_printed_as_the_serializer_shows_it(db, full_house):
    printed = printer(EnrollmentSerializer())
    rows = list(StudentCourse.objects.with_parties())

    assert {row.status for row in rows} == {"enrolled", "waitlisted", "completed"}
    assert [printed(row) for row in rows] == [dict(EnrollmentSerializer(row).data) for row in rows]


@pytest.mark.parametrize("shown_by", [printer, lambda serializer: row_in_json(serializer, {})])
def test_a_field_that_has_to_be_worked_out_cannot_be_printed(shown_by):
    with pytest.raises(TypeError):
        shown_by(CourseWithSeatsSerializer())


def test_a_property_cannot_be_printed_by_postgresql_unless_an_annotation_stands_for_it():
    with pytest.raises(TypeError, match="StudentCourse has no column waitlist_position"):
        row_in_json(EnrollmentSerializer(), {})


def wishes() -> list[tuple[str, Any, str, list[str]]]:
    """What is sent to enroll, by what it is about; the way it goes, which is the short one unless it is not plain."""
    shortly, generally = ["express", "express"], ["general", "general"]
    return [
        ("a seat", lambda course: {"course_id": course.pk}, "student", shortly),
        ("a seat by code", lambda course: {"course_code": course.code, "reason": "Zoë \u2028"}, "student", shortly),
        ("a student by number", lambda course: {"course_id": course.pk}, "number", shortly),
        ("no such course", lambda course: {"course_id": 987654}, "student", shortly),
        ("no such student", lambda course: {"course_id": course.pk}, "nobody", shortly),
        ("a wish to wait", lambda course: {"course_id": course.pk, "on_full": "waitlist"}, "student", shortly),
        (
            "a waiver without the scope",
            lambda c: {"course_id": c.pk, "waive": ["course_full"], "reason": "x"},
            "student",
            shortly,
        ),
        ("no course", lambda course: {}, "student", generally),
        ("an unknown field", lambda course: {"course_id": course.pk, "seat": 1}, "student", generally),
        ("a list", lambda course: [course.pk], "student", generally),
    ]


@pytest.mark.parametrize(("sent", "whose", "way"), [pytest.param(*rest, id=name) for name, *rest in wishes()])
@pytest.mark.parametrize("capacity", [5, 0])
def test_both_ways_enroll_and_refuse_alike(api, answered, capacity, sent, whose, way):
    answers = []
    for accept in ("*/*", GENERALLY):
        student, course = make_student(), make_course(capacity=capacity, waitlist_capacity=3)
        name = {"student": student.pk, "number": f"number:{student.student_number}", "nobody": 987654}[whose]
        of_pair = {student.student_number: "S", course.code: "C"}
        for _retry in range(2):
            answer = api.post(f"/api/v1/students/{name}/courses", sent(course), HTTP_ACCEPT=accept)
            headers = {each: each in answer.headers for each in ("ETag", "Location", "RateLimit", "X-Request-ID")}
            answers.append(
                (answer.status_code, answer.headers["Content-Type"], headers, _alike(answer.json(), of_pair))
            )

    assert answers[:2] == answers[2:]
    assert answered == [*way, "general", "general"]


def _alike(told: Any, names: dict[str, str]) -> Any:
    """Return an answer without what is another in each: ids, names, instants."""
    if isinstance(told, dict):
        changing = {
            "id",
            "student_number",
            "given_name",
            "family_name",
            "created_at",
            "updated_at",
            "request_id",
            "enrolled_on",
        }
        return {key: _alike(value, names) for key, value in told.items() if key not in changing}
    if isinstance(told, list):
        return [_alike(each, names) for each in told]
    if isinstance(told, str):
        for word, name in names.items():
            told = told.replace(word, name)
    return told
