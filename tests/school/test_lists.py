"""Lists: pages do not shift, and the number of queries does not grow with the rows."""

from time import sleep

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext

from school.api.pagination import Cursor, cursor_signer, decode_cursor
from students.enrollment import enroll_many
from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import TOKEN, cost_of

pytestmark = pytest.mark.django_db


def fill(rows, actor):
    """Make terms with courses, and students: all of them in one course, one of them in all courses."""
    terms = [make_term() for _ in range(rows)]
    courses = [make_course(term=term) for term in terms]
    students = [make_student() for _ in range(rows)]
    pairs = [(student.pk, courses[0].pk) for student in students]
    pairs += [(students[0].pk, course.pk) for course in courses[1:]]
    enroll_many(pairs, actor=actor)
    return {"student": students[0].pk, "course": courses[0].pk}


API_LISTS = {
    "/api/v1/students": 1,
    "/api/v1/courses": 1,
    "/api/v1/terms": 1,
    "/api/v1/enrollments?status=all": 1,
    "/api/v1/students/{student}/courses": 1,
    "/api/v1/courses/{course}/students": 1,
}


@pytest.mark.parametrize("path", API_LISTS)
def test_an_api_list_takes_the_same_queries_for_any_number_of_rows(api, actor, path):
    costs = []
    for rows in (1, 20):
        values = fill(rows, actor)
        url = path.format(**values)
        api.get(url)
        with CaptureQueriesContext(connection) as queries:
            answer = api.get(url)
        assert len(answer.json()["results"]) >= rows
        costs.append(cost_of(queries))

    assert costs == [API_LISTS[path] + TOKEN] * 2


ADMIN_LISTS = [
    "/admin/students/student/",
    "/admin/courses/course/",
    "/admin/courses/term/",
    "/admin/students/studentcourse/",
    "/admin/students/student/{student}/change/",
    "/admin/courses/course/{course}/change/",
    "/admin/autocomplete/?app_label=students&model_name=studentcourse&field_name=student&term=",
    "/admin/autocomplete/?app_label=students&model_name=studentcourse&field_name=course&term=",
]


@pytest.mark.parametrize("path", ADMIN_LISTS)
def test_an_admin_list_takes_the_same_queries_for_any_number_of_rows(registrar_client, actor, path):
    costs = []
    for rows in (2, 20):
        values = fill(rows, actor)
        url = path.format(**values)
        registrar_client.get(url)
        with CaptureQueriesContext(connection) as queries:
            answer = registrar_client.get(url)
        assert answer.status_code == 200
        costs.append(len(queries))

    assert costs[0] == costs[1]


@pytest.mark.parametrize("order", ["id", "-id", "updated_at", "-updated_at"])
def test_pages_cover_the_whole_list_forward_and_backward(api, actor, order):
    """Rows of one import share their ``updated_at``: the id must break the tie."""
    fill(7, actor)
    signs = ("-updated_at", "-pk") if order == "-updated_at" else ("updated_at", "pk") if order == "updated_at" else ()
    whole = list(StudentCourse.objects.order_by(*(signs or [order])).values_list("pk", flat=True))

    there, url = [], f"/api/v1/enrollments?page_size=3&ordering={order}"
    while url:
        page = api.get(url).json()
        there.append([row["id"] for row in page["results"]])
        last, url = url, page["next"]
    back: list[list[int]] = []
    url = last
    while url:
        page = api.get(url).json()
        back.insert(0, [row["id"] for row in page["results"]])
        url = page["previous"]

    assert (sum(there, []), back) == (whole, there)
    assert [len(page) for page in there] == [3, 3, 3, 3, 1]


def test_a_page_does_not_shift_when_rows_are_inserted_before_it(api):
    first, second = (make_student(student_number=number) for number in ("B", "C"))
    page = api.get("/api/v1/students?page_size=1&ordering=student_number").json()
    make_student(student_number="A")

    following = api.get(page["next"]).json()

    assert [row["id"] for page in (page, following) for row in page["results"]] == [first.pk, second.pk]


def test_a_cursor_is_valid_only_for_its_own_list_and_order(api):
    for _ in range(2):
        make_student()
        make_course()
    cursor = api.get("/api/v1/students?page_size=1").json()["next"].split("cursor=")[1].split("&")[0]

    for other in (f"/api/v1/courses?cursor={cursor}", f"/api/v1/students?ordering=-id&cursor={cursor}"):
        assert (api.get(other).status_code, api.get(other).json()["errors"][0]["code"]) == (400, "invalid_cursor")


def test_an_empty_list_is_an_empty_page(api):
    assert api.get("/api/v1/students").json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("query", "expected"), [("search=byr", ["S-1"]), ("search=S-2", ["S-2"]), ("is_active=false", ["S-2"])]
)
def test_students_can_be_searched_and_filtered(api, query, expected):
    make_student(student_number="S-1", family_name="Byron")
    make_student(student_number="S-2", is_active=False)

    rows = api.get(f"/api/v1/students?{query}").json()["results"]

    assert [row["student_number"] for row in rows] == expected


def test_a_cursor_has_the_same_signature_as_django_signing():
    ours, djangos = cursor_signer("salt"), signing.Signer(salt="salt", sep=".")

    assert ours.sign_object(["id", False, "é", 1]) == djangos.sign_object(["id", False, "é", 1])
    assert signing.Signer(salt="salt", sep=".", key="other").sign("1") != ours.sign("1")


def test_a_cursor_signed_with_a_fallback_secret_key_is_accepted(settings):
    before = signing.Signer(salt="salt", sep=".", key="the one before").sign_object(["id", False, 1])
    settings.SECRET_KEY_FALLBACKS = ["the one before"]
    cursor_signer.cache_clear()

    assert decode_cursor(before, "salt", "id") == Cursor(1)

    cursor_signer.cache_clear()


def test_a_page_has_the_same_links_on_every_request(api, actor):
    path = f"/api/v1/courses/{fill(3, actor)['course']}/students?page_size=1"

    before = api.get(path).content
    sleep(1)

    assert api.get(path).content == before
