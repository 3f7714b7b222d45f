"""An unauthorized upload is rejected before the file is read."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.test.client import FakePayload

from school.accounts.session_timeout import LOGIN_TIME_KEY

pytestmark = pytest.mark.django_db

API, ADMIN = "/api/v1/imports", "/admin/bulk/import/add/"
FORM = "multipart/form-data; boundary=x"
SIZE = 200_000_000


class UnreadablePayload(FakePayload):
    """A body that fails the test when it is read."""

    def __len__(self) -> int:
        return SIZE

    def read(self, *_size: Any) -> bytes:
        raise AssertionError("The body was read.")

    readline = read


def send_file(client: Client, path: str, content_type: str = FORM, **headers: str) -> Any:
    """Send a file whose bytes cannot be read."""
    return client.request(
        **{
            "PATH_INFO": path,
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(SIZE),
            "wsgi.input": UnreadablePayload(),
            **headers,
        }
    )


@pytest.fixture
def csrf_client() -> Client:
    """Return a client with a forged CSRF cookie: to check the token, Django would read the form."""
    client = Client(enforce_csrf_checks=True)
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    return client


@pytest.mark.parametrize("path", [ADMIN, "/admin/bulk/import/add"])
def test_an_anonymous_upload_is_redirected_to_the_login(csrf_client, path):
    answer = send_file(csrf_client, path)

    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={path}")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
@pytest.mark.parametrize("path", [API, f"{API}/"])
def test_an_anonymous_api_upload_is_rejected(csrf_client, path, content_type):
    answer = send_file(csrf_client, path, content_type)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
def test_an_upload_with_an_unknown_token_is_rejected(csrf_client, content_type):
    answer = send_file(csrf_client, API, content_type, HTTP_AUTHORIZATION="Bearer unknown")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
def test_an_upload_with_a_token_without_the_scope_is_rejected(make_client, csrf_client, content_type):
    token = make_client("imports:read")._credentials["HTTP_AUTHORIZATION"]

    answer = send_file(csrf_client, API, content_type, HTTP_AUTHORIZATION=token)

    assert (answer.status_code, answer.json()["missing_scope"]) == (403, "imports:write")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
@pytest.mark.parametrize("authorization", ["Basic eDp5", "Bearer", "Token x", ""])
def test_an_upload_with_other_credentials_is_rejected(csrf_client, registrar, authorization, content_type):
    csrf_client.force_login(registrar)  # sessions are ignored for API tokens

    answer = send_file(csrf_client, API, content_type, HTTP_AUTHORIZATION=authorization)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("content_type", [FORM, "text/csv"])
def test_an_api_upload_with_an_expired_session_is_rejected(csrf_client, registrar, content_type):
    csrf_client.force_login(registrar)
    session = csrf_client.session
    session[LOGIN_TIME_KEY] -= settings.SESSION_HOURS * 3600
    session.save()

    answer = send_file(csrf_client, API, content_type)

    assert (answer.status_code, answer.json()["detail"]) == (401, "The session has ended. Log in again.")


def test_an_admin_upload_without_the_permission_is_rejected(csrf_client, viewer):
    csrf_client.force_login(viewer)

    assert send_file(csrf_client, ADMIN).status_code == 403


@pytest.mark.parametrize("content_type", [FORM, "text/csv"])
def test_an_api_upload_without_the_permission_is_rejected(csrf_client, viewer, content_type):
    csrf_client.force_login(viewer)

    answer = send_file(csrf_client, API, content_type)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["missing_permission"]) == (
        403,
        "permission_denied",
        "bulk.add_import",
    )


@pytest.mark.parametrize(("change", "status"), [({"is_active": False}, 302), ({"is_staff": False}, 302)])
def test_an_upload_by_a_former_staff_user_is_redirected_to_the_login(csrf_client, registrar, change, status):
    csrf_client.force_login(registrar)
    User.objects.filter(pk=registrar.pk).update(**change)

    answer = send_file(csrf_client, ADMIN)

    assert (answer.status_code, answer["Location"]) == (status, f"/admin/login/?next={ADMIN}")


def test_a_registrar_can_upload_a_file(csrf_client, registrar):
    """With the permission, the same request is read: this shows that the other tests could fail."""
    csrf_client.force_login(registrar)

    with pytest.raises(AssertionError, match="The body was read"):
        send_file(csrf_client, ADMIN)
