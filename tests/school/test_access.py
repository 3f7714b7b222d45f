"""How programs get tokens, how tokens end, and what answers anybody. Who may what: tests/test_access.py."""

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from oauth2_provider.models import get_access_token_model
from rest_framework.test import APIClient

from courses.api_clients import create_api_client
from school.models import ApiClient
from students.models import Student
from tests.factories import make_student

pytestmark = pytest.mark.django_db


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
        ("", "students:read", "The client needs a name of at most 143 characters."),
        ("taken", "students:read", "A client named taken already exists."),
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
