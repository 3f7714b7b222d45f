"""
Tokens, their expiry, and the addresses without authentication.

For permissions see tests/security/test_access.py.
"""

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from oauth2_provider.models import get_access_token_model
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from school.models import ApiClient
from students.models import Student
from tests.support.factories import make_student

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/health", "/api/schema", "/api/docs", "/problems/course_full"])
def test_health_and_documentation_need_no_credentials(client, path):
    assert client.get(path).status_code == 200


def test_health_reports_a_missing_database(client, monkeypatch):
    from django.db import OperationalError, connection

    def unavailable():
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", unavailable)

    answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (503, {"status": "no database"})


@pytest.mark.parametrize("path", ["/admin/", "/admin/students/student/", "/", "/api/v1/students"])
def test_every_other_address_requires_credentials(client, path):
    answer = client.get(path, follow=True)

    assert answer.status_code == 401 or answer.redirect_chain[-1][0].startswith("/admin/login/")


def credentials_of(*scopes):
    return create_api_client("portal", " ".join(scopes))


def test_token_endpoint_accepts_basic_and_form_credentials(client):
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


def test_oauth_libraries_discover_the_token_endpoint(client):
    answer = client.get("/.well-known/oauth-authorization-server", HTTP_HOST="localhost:8000")
    metadata = answer.json()
    keys = credentials_of("students:read", "rosters:read")
    form = {"client_id": keys.client_id, "client_secret": keys.client_secret}
    [grant] = metadata["grant_types_supported"]

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert metadata["issuer"] == "http://localhost:8000"
    assert metadata["token_endpoint"] == "http://localhost:8000/oauth/token"
    assert metadata["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    assert client.post("/oauth/token", {**form, "grant_type": grant}).status_code == 200
    scopes = [scope for scope in metadata["scopes_supported"] if scope.startswith(("students:read", "rosters", "http"))]
    assert len(scopes) == 8
    issued = client.post("/oauth/token", {**form, "grant_type": grant, "scope": " ".join(scopes)})
    assert set(issued.json()["scope"].split()) == set(scopes)


def test_the_metadata_of_the_authorization_server_are_read_only(client):
    answer = client.post("/.well-known/oauth-authorization-server", {})

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_client_can_request_fewer_scopes_but_not_more(client):
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
def test_an_expired_deleted_or_deactivated_token_is_rejected(api, change):
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


def test_a_token_in_the_query_is_ignored(api):
    answer = APIClient().get("/api/v1/students?access_token=abc")

    assert answer.status_code == 401


def test_create_api_client_prints_the_credentials_once_and_as_json(capsys):
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
        ("", "students:read", "The client needs a name of at most 143 characters."),
        ("taken", "students:read", "A client named taken already exists."),
    ],
)
def test_create_api_client_rejects_invalid_options_with_a_one_line_error(name, scope, message):
    create_api_client("taken", "students:read")

    with pytest.raises(CommandError) as error:
        call_command("create_api_client", name, scope=scope)

    assert str(error.value).startswith(message)


def test_the_history_of_a_row_records_the_client_that_changed_it(api):
    student = make_student(given_name="Ada")

    api.patch(f"/api/v1/students/{student.pk}", {"given_name": "Augusta"})

    newest, oldest = Student.objects.get().history.all()
    assert (newest.given_name, newest.history_user.username[:7]) == ("Augusta", "client:")
    assert oldest.given_name == "Ada"
