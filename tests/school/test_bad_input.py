"""Every invalid request gets a problem response that names the error and its field, never a 500."""

import json

import pytest
from django.db import OperationalError
from django.db.models.sql.compiler import SQLCompiler
from django.test import Client

from courses.api_client_creation import create_api_client
from students.models import StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

LOGIN = {"username": "a", "password": "b"}
LISTS = ["students", "courses", "terms", "enrollments", "students/{student}/courses", "courses/{course}/students"]


@pytest.fixture
def paths():
    values = {"student": make_student().pk, "course": make_course().pk}
    return [f"/api/v1/{path}".format(**values) for path in LISTS]


def errors(answer):
    return [(error["code"], error["field"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "parse_error"),
        (b"\xff\xfe", "application/json", 400, "parse_error"),
        (b"NaN", "application/json", 400, "parse_error"),
        (b"[" * 100_000, "application/json", 400, "parse_error"),
        (b'{"course_id": ' + b"9" * 5_000 + b"}", "application/json", 400, "parse_error"),
        (b'{"course_id": 1e400}', "application/json", 400, "parse_error"),
        (b'{"course_code": "\\ud800"}', "application/json", 400, "parse_error"),
        (b'{"course_code": "\\u0000"}', "application/json", 400, "invalid"),
        (b'"text"', "application/json", 400, "invalid"),
        (b"course_id=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"x", "nonsense", 415, "unsupported_media_type"),
        (b" " * 3_000_000, "application/json", 413, "body_too_large"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_rejected(api, body, content_type, status, code):
    answer = api.generic("POST", f"/api/v1/students/{make_student().pk}/courses", body, content_type)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert StudentCourse.objects.count() == 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("nonsense=1", [("unknown_filter", "nonsense")]),
        ("cursor=tampered", [("invalid_cursor", "cursor")]),
        ("page_size=0", [("invalid", "page_size")]),
        ("page_size=501", [("invalid", "page_size")]),
        ("page_size=x", [("invalid", "page_size")]),
        ("page_size=99999999999999999999", [("invalid", "page_size")]),
        ("ordering=nonsense", [("invalid_choice", "ordering")]),
        ("ordering=", [("invalid_choice", "ordering")]),
    ],
)
def test_a_list_names_the_query_parameters_that_it_rejects(api, paths, query, expected):
    for path in paths:
        answer = api.get(f"{path}?{query}")
        assert (answer.status_code, errors(answer)) == (400, expected), path


def test_invalid_and_unknown_filters_are_reported_together(api):
    answer = api.get("/api/v1/enrollments?status=asleep&student=x&course=99999999999999999999&level=&nonsense=1")

    assert errors(answer) == [
        ("invalid_choice", "status"),
        ("invalid", "student"),
        ("invalid", "course"),
        ("blank", "level"),
        ("unknown_filter", "nonsense"),
    ]


def test_a_nul_byte_in_a_path_is_rejected(api, paths):
    assert [api.get(f"{path}?search=%00").status_code for path in paths] == [400] * len(paths)
    assert api.get("/api/v1/students/number:%00").status_code == 404
    assert api.get("/api/v1/courses/code:A%00").status_code == 404


@pytest.mark.parametrize(
    "number", ["0", "-1", "1.5", "9223372036854775808", "99999999999999999999", "1e3", "%20", "٣", "x"]
)
def test_a_malformed_id_in_a_path_returns_404(api, number):
    for path in (f"students/{number}", f"courses/{number}", f"terms/{number}", f"enrollments/{number}"):
        assert api.get(f"/api/v1/{path}").status_code == 404, path


def test_405_and_404_responses_are_problems_of_the_same_shape(api):
    for answer, status in ((api.put("/api/v1/enrollments", {}), 405), (api.get("/api/v1/nonsense"), 404)):
        problem = answer.json()
        assert (answer.status_code, problem["status"], answer["Content-Type"]) == (
            status,
            status,
            "application/problem+json",
        )
        assert set(problem) == {"type", "title", "status", "detail", "code", "errors", "request_id"}


def test_an_unexpected_exception_returns_a_problem_response(api, monkeypatch, client):
    client.raise_request_exception = api.raise_request_exception = False
    monkeypatch.setattr("rest_framework.renderers.JSONRenderer.render", lambda *args, **options: 1 / 0)

    answer = api.get("/api/v1/students/1")

    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert answer.json()["request_id"] == answer["X-Request-ID"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "client_id": "no", "client_secret": "one"},
        {"grant_type": "client_credentials", "client_id": "\0", "client_secret": "\0"},
        {"grant_type": "password", "username": "a", "password": "b"},
        {"grant_type": "\0"},
    ],
)
def test_token_endpoint_errors_use_oauth_error_codes(client, form):
    answer = client.post("/oauth/token", form)

    assert answer.status_code in (400, 401)
    assert "error" in answer.json()


@pytest.mark.parametrize("name", ["code", "level", "term"])
def test_a_nul_character_is_reported_at_its_field(api, name):
    body = {"code": "A", "name": "A", "level": "advanced", "term": None, name: "\0"}

    answer = api.post("/api/v1/courses", body)

    assert (answer.status_code, [field for _code, field in errors(answer)][:1]) == (400, [name])


def test_an_unpaired_surrogate_is_rejected_even_in_a_field_name(api):
    answer = api.generic("POST", "/api/v1/students", b'{"\\ud800": 4}', "application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "resource": "http://["}, "invalid_request"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "\0"}, "invalid_request"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
    ],
)
def test_only_the_client_credentials_grant_returns_a_token(client, form, error):
    keys = create_api_client("portal", "students:read")

    answer = client.post("/oauth/token", {"client_id": keys.client_id, "client_secret": keys.client_secret, **form})

    assert (answer.status_code, answer.json()) == (400, {"error": error})


@pytest.mark.parametrize("search", ["a " * 11, "a" * 201])
def test_search_text_is_limited_in_words_and_length(api, registrar_client, search):
    assert errors(api.get(f"/api/v1/students?search={search}")) == [("max_length", "search")]
    for model in ("students/student", "courses/course", "students/studentcourse"):
        assert registrar_client.get(f"/admin/{model}/", {"q": search * 300}).status_code == 200


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("students/studentcourse/", {"action": "drop", "_selected_action": "abc"}),
        ("students/studentcourse/", {"action": "drop", "_selected_action": "1\0"}),
        ("courses/course/add/", {"code": "A", "name": "A", "level": "advanced", "term": "abc"}),
    ],
)
def test_the_admin_rejects_malformed_ids_in_forms(registrar_client, path, form):
    make_student()

    assert registrar_client.post(f"/admin/{path}", form).status_code in (200, 302, 400)


def test_a_locked_database_returns_503(api, client, monkeypatch):
    def locked(*args, **options):
        raise OperationalError("database is locked")

    monkeypatch.setattr(SQLCompiler, "execute_sql", locked)

    assert client.get("/api/v1/students").status_code == 401  # an anonymous request is rejected without a query
    program, person = api.get("/api/v1/students"), client.post("/admin/login/", LOGIN)
    assert (program.status_code, program.json()["code"], program["Retry-After"]) == (503, "busy", "2")
    assert (person.status_code, person["Content-Type"], person["Retry-After"]) == (
        503,
        "text/plain; charset=utf-8",
        "2",
    )


@pytest.mark.parametrize("header", ["Basic !!!", "Basic AAAA", "Basic bm9uZTpub25l", "Bearer x", "Basic AAA6AAA="])
def test_the_token_endpoint_rejects_malformed_authorization_headers(client, header):
    answer = client.post("/oauth/token", {"grant_type": "client_credentials"}, headers={"Authorization": header})

    assert answer.status_code == 401


@pytest.mark.parametrize("query", ["q=%00", "id__exact=%00", "id__exact=x", "e=1", "p=-5", "o=99"])
def test_the_admin_answers_malformed_queries_without_an_error(registrar_client, query):
    for model in ("students/student", "courses/course", "courses/term", "students/studentcourse"):
        assert registrar_client.get(f"/admin/{model}/?{query}").status_code < 500


BIG = str(2**70)


@pytest.mark.parametrize(
    "path", [f"student/{BIG}/change/", f"student/?id__exact={BIG}", f"studentcourse/?student__id__exact={BIG}"]
)
def test_an_integer_beyond_64_bits_is_no_server_error_in_the_admin(registrar_client, path):
    assert registrar_client.get(f"/admin/students/{path}").status_code < 500


def test_an_integer_beyond_64_bits_is_no_server_error_in_the_enroll_form(registrar_client):
    form = {"student": BIG, "course": "1"}

    assert registrar_client.post("/admin/students/studentcourse/add/", form).status_code < 500


def test_nul_bytes_are_no_server_error_in_the_admin_login(client):
    assert client.post("/admin/login/", {"username": "a\0", "password": "b\0"}).status_code == 200


def test_a_request_with_an_unknown_host_returns_a_problem():
    answer = Client(SERVER_NAME="evil.example").get("/api/v1/students")

    assert (answer.status_code, json.loads(answer.content)["code"]) == (400, "bad_request")
