"""Cursors contain no personal data, and work when their row moves or is deleted."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.signing import b64_decode
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bulk.models import Import, Progress
from courses.api_client_creation import create_api_client
from school.api.pagination import Cursor, cursor_salt, cursor_signer, decode_cursor
from school.models import ApiClient
from students.api import RosterViewSet, StudentViewSet
from students.enrollment import drop, enroll
from students.models import Student, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import cost_of

pytestmark = pytest.mark.django_db

NAMES = ["Byron", "ångström", "Byron", "Αβγ", "Zuse", "", "byron", "O'Neil", 'Q"\\uote', "Byron"]
# For each list: its orders, each with the path of the model field that it sorts by.
ORDERS = {
    "students": {"id": "id", "student_number": "student_number", "family_name": "family_name"},
    "roster": {"id": "id", "updated_at": "updated_at", "family_name": "student__family_name"},
    "pairs": {"id": "id", "updated_at": "updated_at", "course_code": "course__code"},
    "enrollments": {"id": "id", "updated_at": "updated_at"},
    "courses": {"id": "id", "code": "code", "name": "name"},
    "terms": {"id": "id", "code": "code", "starts_on": "starts_on"},
    "imports": {"id": "id", "created_at": "created_at"},
    "events": {"id": "id"},
}
CASES = [(name, sign + order) for name, orders in ORDERS.items() for order in orders for sign in ("", "-")]
BY_TEXT = [
    ("students", "student_number"),
    ("students", "family_name"),
    ("roster", "family_name"),
    ("pairs", "course_code"),
    ("courses", "code"),
    ("courses", "name"),
    ("terms", "code"),
]


@pytest.fixture
def school(actor, api):
    """Make ten rows in each list, with ties in every order that allows them; return addresses and rows."""
    students = [make_student(family_name=name) for name in NAMES]
    terms = [make_term(starts_on="2026-01-01" if n % 2 else "2026-02-02") for n in range(len(NAMES))]
    courses = [make_course(code=f"C{n // 2}", term=terms[n], name=NAMES[n]) for n in range(len(NAMES))]
    for student in students:
        enroll(student_id=student.pk, course_id=courses[0].pk, actor=actor)
    for course in courses[1:]:
        enroll(student_id=students[0].pk, course_id=course.pk, actor=actor)
    first = StudentCourse.objects.get(student=students[0], course=courses[0])
    for _ in range(4):
        drop(student_id=students[0].pk, course_id=courses[0].pk, actor=actor)
        enroll(student_id=students[0].pk, course_id=courses[0].pk, actor=actor)
    client = ApiClient.objects.get().user  # the list contains only its own imports
    for n in range(len(NAMES)):
        job = Import.objects.create(kind="students", door="api", dataset=f"{n}", client=client, actor=client)
        Progress.objects.create(file_import=job)
    plain = {name: f"/api/v1/{name}" for name in ("students", "courses", "terms", "enrollments", "imports")}
    return {
        **plain,
        "roster": f"/api/v1/courses/{courses[0].pk}/students",
        "pairs": f"/api/v1/students/{students[0].pk}/courses",
        "events": f"/api/v1/enrollments/{first.pk}/events",
    }


def cursor_in(link):
    [text] = parse_qs(urlsplit(link).query)["cursor"]
    return text


def content_of(link):
    return json.loads(b64_decode(cursor_in(link).split(".")[0].encode()))


@pytest.mark.parametrize(("name", "order"), CASES)
def test_pages_in_every_order_cover_the_whole_list_forward_and_backward(api, school, name, order):
    address = f"{school[name]}?ordering={order}"
    whole = [row["id"] for row in api.get(f"{address}&page_size=500").json()["results"]]
    url = f"{address}&page_size=3"
    there: list[list[int]] = []
    back: list[list[int]] = []
    while url:
        page = api.get(url).json()
        there.append([row["id"] for row in page["results"]])
        last, url = url, page["next"]
    url = last
    while url:
        page = api.get(url).json()
        back.insert(0, [row["id"] for row in page["results"]])
        url = page["previous"]

    assert len(whole) == {"enrollments": 19, "events": 2}.get(name, 10)
    assert (sum(there, []), back) == (whole, there)


@pytest.mark.parametrize(("name", "order"), CASES)
def test_a_cursor_contains_the_id_of_its_row_and_no_text(api, school, name, order):
    first = api.get(f"{school[name]}?page_size=1&ordering={order}").json()
    second = api.get(first["next"]).json()

    for page, link, backwards in ((first, first["next"], False), (second, second["previous"], True)):
        [row] = page["results"]
        kept = {"updated_at", "created_at", "starts_on"} & {order.removeprefix("-")}
        assert content_of(link)[:3] == [order, backwards, row["id"]]
        assert len(content_of(link)) == 3 + len(kept)


@pytest.mark.parametrize(("name", "order"), BY_TEXT)
def test_looking_up_the_row_of_a_cursor_takes_one_query(api, school, name, order):
    first = f"{school[name]}?page_size=1&ordering={order}"
    second = api.get(first).json()["next"]
    costs = []
    for url in (first, second):
        with CaptureQueriesContext(connection) as queries:
            api.get(url)
        costs.append(cost_of(queries))

    assert costs[1] - costs[0] == 1


def test_a_page_starts_at_the_current_position_of_its_cursor_row(api):
    for name in ("Adams", "Byron", "Curie", "Darwin"):
        make_student(family_name=name)
    first = api.get("/api/v1/students?ordering=family_name&page_size=2").json()
    Student.objects.filter(family_name="Byron").update(family_name="Cz")

    following = api.get(first["next"]).json()

    assert [row["family_name"] for row in following["results"]] == ["Darwin"]


def test_a_row_updated_while_paging_by_updated_at_hides_no_other_row(api, actor):
    course = make_course()
    for _ in range(4):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    whole = list(StudentCourse.objects.order_by("updated_at", "pk").values_list("pk", flat=True))
    first = api.get("/api/v1/enrollments?ordering=updated_at&page_size=2").json()
    StudentCourse.objects.filter(pk=whole[1]).update(updated_at="2050-01-01T00:00:00Z")

    following = api.get(first["next"]).json()

    assert [row["id"] for row in following["results"]] == [whole[2], whole[3]]


@pytest.mark.parametrize(("name", "order"), [("students", "family_name"), ("courses", "code"), ("terms", "code")])
def test_a_cursor_whose_row_was_deleted_returns_410(api, name, order):
    makers = {"students": make_student, "courses": make_course, "terms": make_term}
    rows = [makers[name]() for _ in range(3)]
    link = api.get(f"/api/v1/{name}?ordering={order}&page_size=1").json()["next"]
    next(row for row in rows if row.pk == content_of(link)[2]).delete()

    answer = api.get(link)

    assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")
    message = "The row that this cursor refers to is no longer in this list. Start without a cursor."
    assert answer.json()["detail"] == message


@pytest.mark.parametrize("order", ["id", "-id"])
def test_a_cursor_ordered_by_id_works_after_its_row_was_deleted(api, order):
    students = [make_student() for _ in range(3)]
    link = api.get(f"/api/v1/students?ordering={order}&page_size=1").json()["next"]
    Student.objects.filter(pk=content_of(link)[2]).delete()

    rest = [row["id"] for row in api.get(link).json()["results"]]

    assert rest == [students[1].pk]


def test_a_cursor_works_when_its_row_no_longer_matches_the_filter(api):
    for name in ("Adams", "Byron", "Curie"):
        make_student(family_name=name)
    link = api.get("/api/v1/students?ordering=family_name&page_size=1&is_active=true").json()["next"]
    Student.objects.filter(family_name="Adams").update(is_active=False)

    rest = [row["family_name"] for row in api.get(link).json()["results"]]

    assert rest == ["Byron"]


def test_a_cursor_reveals_nothing_about_a_row_outside_the_limits(api, actor):
    inside, outside = make_course(), make_course()
    seen, hidden = make_student(family_name="Byron"), make_student(family_name="Adams")
    enroll(student_id=seen.pk, course_id=inside.pk, actor=actor)
    enroll(student_id=hidden.pk, course_id=outside.pk, actor=actor)
    link = api.get("/api/v1/students?ordering=family_name&page_size=1").json()["next"]
    keys = create_api_client("limited", "students:read", courses=[inside.full_code])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), ["students:read"])

    assert content_of(link)[2] == hidden.pk
    assert client.get(link).json()["code"] == "cursor_expired"


@pytest.mark.parametrize(
    ("order", "content"),
    [
        ("family_name", ["family_name", False, "Byron", 1]),
        ("id", ["id", False, "1", 1]),
        ("id", ["id", False, 1, "x", "y"]),
        ("id", ["id", 0, 1]),
        ("id", ["id"]),
        ("id", "id"),
        ("id", {"id": 1}),
    ],
)
def test_a_cursor_of_an_earlier_release_or_another_format_is_rejected(api, order, content):
    text = cursor_signer(cursor_salt(StudentViewSet)).sign_object(content)

    answer = api.get(f"/api/v1/students?ordering={order}&cursor={text}")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_cursor")


def test_a_cursor_decodes_to_the_value_that_was_encoded(api, school):
    link = api.get(f"{school['roster']}?page_size=1").json()["next"]

    cursor = decode_cursor(cursor_in(link), cursor_salt(RosterViewSet), "id")

    assert cursor == Cursor(StudentCourse.objects.order_by("pk").filter(status="enrolled")[0].pk)
