"""PUT with a natural key creates a row or replaces it."""

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from courses.models import Course, Term
from school.models import ApiClient
from students.models import Student
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term
from tests.support.races import RUNNERS, race

pytestmark = pytest.mark.django_db

STUDENT = {"given_name": "Ada", "family_name": "Byron"}
COURSE = {"name": "Calculus I", "level": "introductory"}
TERM = {"name": "Fall 2026", "starts_on": "2026-09-01", "ends_on": "2027-01-31"}
ROWS = [
    ("students/number:S-1042", STUDENT, {"student_number": "S-1042"}, Student),
    ("courses/code:MATH-101@2026F", COURSE, {"code": "MATH-101", "term": "2026F"}, Course),
    ("courses/code:MATH-101@2026F@B", COURSE, {"code": "MATH-101", "term": "2026F", "section": "B"}, Course),
    ("courses/code:MATH-101", COURSE, {"code": "MATH-101", "term": None}, Course),
    ("terms/code:2030F", TERM, {"code": "2030F"}, Term),
]
each_row = pytest.mark.parametrize(("path", "body", "key", "model"), ROWS)


@pytest.fixture(autouse=True)
def term(db):
    return make_term(code="2026F")


@each_row
def test_put_creates_a_row_and_then_replaces_it(api, path, body, key, model):
    created = api.put(f"/api/v1/{path}", body)
    again = api.put(f"/api/v1/{path}", {**body, **key})
    changed = api.put(f"/api/v1/{path}", {**body, next(iter(body)): "Other"})

    row = model.objects.get(pk=created.json()["id"])
    versions = row.history.values_list("history_type", "history_user__username")
    kind = path.partition("/")[0]
    assert created.status_code == 201
    assert created["Location"] == f"http://testserver/api/v1/{kind}/{row.pk}"
    assert changed["ETag"] == api.get(created["Location"])["ETag"] != created["ETag"] == again["ETag"]
    assert {name: created.json()[name] for name in key} == key
    assert (again.status_code, again.json()) == (200, created.json())
    assert (changed.status_code, changed.json()[next(iter(body))]) == (200, "Other")
    assert [type_ for type_, _user in versions] == ["~", "+"]
    assert {user for _type, user in versions} == {User.objects.get(username__startswith="client:").username}


@each_row
def test_a_creation_needs_the_key_of_the_url(api, path, body, key, model):
    name, value = list(key.items())[-1]
    other = "T-1" if value is None else f"{value}X"
    make_term(code=other)

    answer = api.put(f"/api/v1/{path}", {**body, name: other})

    errors = [(each["code"], each["field"]) for each in answer.json()["errors"]]
    assert (answer.status_code, errors) == (400, [("invalid", name)])


@each_row
def test_a_creation_is_validated_like_a_post(api, path, body, key, model):
    kind, faulty = path.partition("/")[0], dict.fromkeys(body)

    by_put = api.put(f"/api/v1/{path}", {**faulty, "nonsense": 1}).json()
    by_post = api.post(f"/api/v1/{kind}", {**key, **faulty, "nonsense": 1}).json()

    assert by_put["errors"] == by_post["errors"]
    assert api.put(f"/api/v1/{path}", [body]).status_code == 400


@each_row
def test_if_none_match_allows_only_a_creation(api, path, body, key, model):
    header = {"If-None-Match": "*"}

    first = api.put(f"/api/v1/{path}", body, headers=header)
    second = api.put(f"/api/v1/{path}", body, headers=header)
    by_id = api.put(first["Location"], {**body, **key}, headers=header)
    by_tag = api.put(f"/api/v1/{path}", body, headers={"If-None-Match": first["ETag"]})
    other = api.put(f"/api/v1/{path}", body, headers={"If-None-Match": '"another"'})

    assert [each.status_code for each in (first, second, by_id, by_tag, other)] == [201, 412, 412, 412, 200]
    assert second.json()["code"] == "precondition_failed"


@each_row
@pytest.mark.parametrize("etag", ["*", f'"{"0" * 32}"'])
def test_if_match_allows_only_a_replacement(api, path, body, key, model, etag):
    missing = api.put(f"/api/v1/{path}", body, headers={"If-Match": etag})
    created = api.put(f"/api/v1/{path}", body)
    current = api.put(f"/api/v1/{path}", body, headers={"If-Match": created["ETag"]})
    other = api.put(f"/api/v1/{path}", body, headers={"If-Match": f'"{"0" * 32}"'})

    assert (missing.status_code, missing.json()["code"]) == (412, "precondition_failed")
    assert [each.status_code for each in (created, current, other)] == [201, 200, 412]


@each_row
def test_a_creation_needs_no_if_match(api, settings, path, body, key, model):
    settings.REQUIRE_IF_MATCH = True

    assert [api.put(f"/api/v1/{path}", body).status_code for _time in range(2)] == [201, 428]


@pytest.mark.parametrize("path", ["students/99", "courses/99", "terms/99"])
def test_put_with_an_unknown_id_creates_nothing(api, path):
    assert api.put(f"/api/v1/{path}", {}).status_code == 404


@pytest.mark.parametrize("method", ["patch", "delete"])
@pytest.mark.parametrize("path", ["students/number:S-1", "courses/code:C-1@2026F", "terms/code:T-1"])
def test_other_methods_create_nothing(api, method, path):
    assert getattr(api, method)(f"/api/v1/{path}", {}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field", "code"),
    [
        ("students/number:", STUDENT, "student_number", "required"),
        ("students/number:" + "9" * 65, STUDENT, "student_number", "max_length"),
        ("courses/code:C-1@NONE", COURSE, "term", "does_not_exist"),
        ("courses/code:%E2%80%8BC%E2%80%8B1", COURSE, "code", "invalid_identifier"),
        ("terms/code:" + "9" * 33, TERM, "code", "max_length"),
    ],
)
def test_an_invalid_key_is_an_error_of_its_field(api, path, body, field, code):
    answer = api.put(f"/api/v1/{path}", body)

    errors = [(each["code"], each["field"]) for each in answer.json()["errors"]]
    assert (answer.status_code, errors) == (400, [(code, field)])


def test_a_code_in_several_terms_is_ambiguous(api, term):
    for each in (term, make_term()):
        make_course(code="MATH-101", term=each)

    answer = api.put("/api/v1/courses/code:MATH-101", COURSE)

    assert (answer.status_code, answer.json()["code"]) == (409, "course_ambiguous")


def test_the_only_course_with_a_code_keeps_its_term(api, term):
    course = make_course(code="MATH-101", term=term)

    answer = api.put("/api/v1/courses/code:MATH-101", COURSE)

    assert (answer.status_code, answer.json()["id"], answer.json()["term"]) == (200, course.pk, "2026F")


@pytest.mark.parametrize("path", ["code:MATH-101@2026F", "code:MATH-101", "code:MATH-101@2026F@B", "{id}"])
def test_the_only_section_keeps_its_name_unless_the_body_gives_another(api, term, path):
    course = make_course(code="MATH-101", term=term, section="B")
    url = f"/api/v1/courses/{path.format(id=course.pk)}"

    kept = api.put(url, {"code": "MATH-101", **COURSE})
    other = api.put(url, {"code": "MATH-101", **COURSE, "section": "C"})
    unnamed = api.put(f"/api/v1/courses/{course.pk}", {"code": "MATH-101", **COURSE, "section": ""})

    answers = [(each.status_code, each.json()["id"], each.json()["section"]) for each in (kept, other, unnamed)]
    assert answers == [(200, course.pk, "B"), (200, course.pk, "C"), (200, course.pk, "")]


def test_a_replacement_can_change_the_key(api):
    make_student(student_number="S-1")

    answer = api.put("/api/v1/students/number:S-1", {**STUDENT, "student_number": "S-2"})

    assert (answer.status_code, answer.json()["student_number"]) == (200, "S-2")


def test_an_email_of_another_student_refuses_a_creation(api):
    make_student(email="ada@example.edu")

    answer = api.put("/api/v1/students/number:S-1042", {**STUDENT, "email": "Ada@example.edu"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "email")
    assert not Student.objects.filter(student_number="S-1042").exists()


def test_a_staff_user_needs_both_permissions_for_a_creation(db):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_student"))
    browser = APIClient()
    browser.force_login(user)

    refused = browser.put("/api/v1/students/number:S-1042", STUDENT)
    user.user_permissions.add(Permission.objects.get(codename="add_student"))
    created = browser.put("/api/v1/students/number:S-1042", STUDENT)

    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "students.add_student")
    assert created.status_code == 201


def test_a_limited_client_creates_only_courses_in_its_terms(term):
    keys = create_api_client("portal", " ".join(settings.SCOPES), terms=["2026F"])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)
    hidden = make_course(code="HIDDEN", term=make_term(code="2027S"))
    make_student(student_number="S-1")

    def put(path, body):
        answer = limited.put(f"/api/v1/{path}", body)
        return answer.status_code, answer.json().get("code")

    assert put("courses/code:MATH-101@2026F", COURSE) == (201, "MATH-101")
    assert put("courses/code:MATH-101@2026F", COURSE) == (200, "MATH-101")
    for path in (f"courses/code:{hidden.full_code}", "courses/code:UNKNOWN@2027S"):
        assert put(path, COURSE) == (400, "invalid")
    assert put("courses/code:MATH-102", COURSE) == (403, "outside_limits")
    for path in ("students/number:S-1", "students/number:S-2"):
        assert put(path, STUDENT) == (403, "outside_limits")
    for path in ("terms/code:2026F", "terms/code:2027S", "terms/code:2030F"):
        assert put(path, TERM)[0] == (200 if path == "terms/code:2026F" else 403)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap")
@pytest.mark.parametrize(("path", "body"), [(path, body) for path, body, _key, _model in ROWS])
def test_of_parallel_requests_for_a_new_key_one_creates_the_row(api, path, body):
    statuses: dict[int, list[int]] = {}

    def put(runner: int, number: int) -> None:
        answer = api_of(api).put(f"/api/v1/{path.replace(':', f':{number}')}", body)
        statuses.setdefault(number, []).append(answer.status_code)

    race(put, rounds=5)

    assert {number: sorted(each) for number, each in statuses.items()} == {
        number: [*[200] * (RUNNERS - 1), 201] for number in range(5)
    }


def api_of(client: APIClient) -> APIClient:
    """Return another client with the same token, for a thread of its own."""
    other = APIClient()
    other.credentials(**client._credentials)  # type: ignore[attr-defined]  # the credentials that the test client keeps
    return other
