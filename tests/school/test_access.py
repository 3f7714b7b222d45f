"""Who may do what: programs by scope, staff by permission, strangers nothing but health and docs."""

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from oauth2_provider.models import get_access_token_model
from rest_framework.test import APIClient

from school.clients import create_api_client
from school.models import ApiClient
from students.models import Student
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

# What a route takes: its scope's name, and the methods that read and write.
ROUTES = {
    "/api/v1/students": ("students", "get", "post"),
    "/api/v1/students/{student}": ("students", "get", "put", "patch", "delete"),
    "/api/v1/students/{student}/courses": ("enrollments", "get", "post"),
    "/api/v1/students/{student}/courses/{course}": ("enrollments", "get", "patch", "delete"),
    "/api/v1/courses": ("courses", "get", "post"),
    "/api/v1/courses/{course}": ("courses", "get", "put", "patch", "delete"),
    "/api/v1/courses/{course}/students": ("enrollments", "get"),
    "/api/v1/terms": ("courses", "get", "post"),
    "/api/v1/terms/{term}": ("courses", "get", "put", "patch", "delete"),
    "/api/v1/changes": ("changes", "get"),
    "/api/v1/enrollments/batch": ("enrollments", "post"),
    "/api/v1/enrollments": ("enrollments", "get"),
    "/api/v1/enrollments/{enrollment}": ("enrollments", "get"),
    "/api/v1/enrollments/{enrollment}/events": ("enrollments", "get"),
    "/api/v1/imports": ("imports", "get", "post"),
    "/api/v1/imports/{file_import}": ("imports", "get"),
    "/api/v1/imports/{file_import}/report": ("imports", "get"),
    "/api/v1/imports/{file_import}/failed-rows": ("imports", "get"),
    "/api/v1/imports/{file_import}/approve": ("imports", "post"),
    "/api/v1/imports/{file_import}/cancel": ("imports", "post"),
    "/api/v1/imports/{file_import}/undo": ("imports", "post"),
}
CALLS = [(path, method, scope) for path, (scope, *methods) in ROUTES.items() for method in methods]


def call(client, method, path):
    values = {
        "student": make_student().pk,
        "course": make_course().pk,
        "term": make_term().pk,
        "enrollment": 1,
        "file_import": 1,
    }
    return getattr(client, method)(path.format(**values), {})


def test_the_table_has_every_route_of_the_api():
    from drf_spectacular.generators import SchemaGenerator

    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]

    documented = sum(len(operations) for operations in paths.values())
    assert (len(paths), documented) == (len(ROUTES), len(CALLS))


@pytest.mark.parametrize(("path", "method", "scope"), CALLS)
def test_a_stranger_is_401(path, method, scope):
    answer = call(APIClient(), method, path)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("path", "method", "scope"), CALLS)
def test_a_program_needs_the_scope_of_the_route(make_client, path, method, scope):
    needed = f"{scope}:{'read' if method == 'get' else 'write'}"
    others = [each for each in settings.SCOPES if each != needed]

    assert call(make_client(*others), method, path).status_code == 403
    assert call(make_client(needed), method, path).status_code not in (401, 403)


@pytest.mark.parametrize(("path", "method", "scope"), CALLS)
def test_a_viewer_reads_and_a_registrar_writes(viewer, registrar, path, method, scope):
    def answers(user):
        client = APIClient()
        client.force_login(user)
        return call(client, method, path).status_code != 403

    assert (answers(viewer), answers(registrar)) == (method == "get", True)


@pytest.mark.parametrize("path", ["/health", "/api/schema", "/api/docs", "/problems/course_full"])
def test_health_and_docs_answer_anybody(client, path):
    assert client.get(path).status_code == 200


def test_health_tells_of_a_missing_database(client, monkeypatch):
    from django.db import OperationalError, connection

    def gone():
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", gone)

    answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (503, {"status": "no database"})


@pytest.mark.parametrize("path", ["/admin/", "/admin/students/student/", "/", "/api/v1/students"])
def test_nothing_else_answers_anybody(client, path):
    answer = client.get(path, follow=True)

    assert answer.status_code == 401 or answer.redirect_chain[-1][0].startswith("/admin/login/")


def credentials_of(*scopes):
    return create_api_client("portal", " ".join(scopes))


def test_a_token_is_given_for_basic_and_for_form_fields(client):
    keys = credentials_of("students:read")
    form = {"grant_type": "client_credentials"}

    by_form = client.post("/oauth/token", {**form, "client_id": keys.client_id, "client_secret": keys.client_secret})
    basic = APIClient()
    from base64 import b64encode

    header = "Basic " + b64encode(f"{keys.client_id}:{keys.client_secret}".encode()).decode()
    by_basic = Client().post("/oauth/token", form, headers={"Authorization": header})

    for answer in (by_form, by_basic):
        token = answer.json()
        assert (answer.status_code, token["token_type"], token["scope"]) == (200, "Bearer", "students:read")
        basic.credentials(HTTP_AUTHORIZATION=f"Bearer {token['access_token']}")
        assert basic.get("/api/v1/students").status_code == 200


def test_a_client_may_ask_for_less_but_not_for_more(client):
    keys = credentials_of("students:read", "students:write")
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}

    less = client.post("/oauth/token", {**form, "scope": "students:read"})
    more = client.post("/oauth/token", {**form, "scope": "courses:write"})

    assert (less.status_code, less.json()["scope"]) == (200, "students:read")
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")


def test_secrets_and_tokens_are_stored_hashed(client):
    keys = credentials_of("students:read")
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = client.post("/oauth/token", form).json()["access_token"]

    stored = get_access_token_model().objects.get()
    assert keys.client_secret not in ApiClient.objects.get().client_secret
    assert token not in {str(getattr(stored, field.attname)) for field in stored._meta.concrete_fields}


@pytest.mark.parametrize("change", ["expired", "deleted", "deactivated"])
def test_a_token_ends(api, change):
    if change == "expired":
        get_access_token_model().objects.update(expires="2026-01-01T00:00Z")
    elif change == "deleted":
        get_access_token_model().objects.all().delete()
    else:
        User.objects.update(is_active=False)

    answer = api.get("/api/v1/students")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


def test_a_deactivated_account_gets_no_token(client):
    keys = credentials_of("students:read")
    User.objects.update(is_active=False)
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}

    assert client.post("/oauth/token", form).status_code == 401


def test_a_token_in_the_query_is_no_token(api):
    answer = APIClient().get("/api/v1/students?access_token=abc")

    assert answer.status_code == 401


def test_the_command_prints_the_credentials_once_and_as_json(capsys):
    import json

    call_command("create_api_client", "portal", scope="students:read", json=True)
    printed = json.loads(capsys.readouterr().out)
    client = ApiClient.objects.get()

    assert set(printed) == {"client_id", "client_secret"}
    assert (client.client_id, client.scope, client.user.username) == (
        printed["client_id"],
        "students:read",
        "client:portal",
    )


@pytest.mark.parametrize(
    ("name", "scope", "message"),
    [
        ("portal", "students:fly", "Unknown scope: students:fly."),
        ("portal", "", "Unknown scope: –."),
        ("", "students:read", "A client needs a name of at most 143 characters."),
        ("taken", "students:read", "There is a client named taken already."),
    ],
)
def test_a_client_that_cannot_be_is_refused_in_one_line(name, scope, message):
    create_api_client("taken", "students:read")

    with pytest.raises(CommandError) as error:
        call_command("create_api_client", name, scope=scope)

    assert str(error.value).startswith(message)


def test_an_edit_is_kept_with_who_made_it(api):
    student = make_student(given_name="Ada")

    api.patch(f"/api/v1/students/{student.pk}", {"given_name": "Augusta"})

    newest, oldest = Student.objects.get().history.all()
    assert (newest.given_name, newest.history_user.username[:7]) == ("Augusta", "client:")
    assert oldest.given_name == "Ada"
