"""A file is refused before it is read where its sender may not send it."""

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


class Unreadable(FakePayload):
    """A body that nobody may read."""

    def __len__(self) -> int:
        return SIZE

    def read(self, *_size: Any) -> bytes:
        raise AssertionError("The body was read.")

    readline = read


def send(client: Client, path: str, content_type: str = FORM, **headers: str) -> Any:
    """Send a file whose bytes cannot be read."""
    return client.request(
        **{
            "PATH_INFO": path,
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(SIZE),
            "wsgi.input": Unreadable(),
            **headers,
        }
    )


@pytest.fixture
def checking() -> Client:
    """A browser with a CSRF cookie, which anybody can make up: Django reads the form to compare its token with it."""
    client = Client(enforce_csrf_checks=True)
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    return client


@pytest.mark.parametrize("path", [ADMIN, "/admin/bulk/import/add"])
def test_a_stranger_is_led_to_the_login(checking, path):
    answer = send(checking, path)

    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={path}")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
@pytest.mark.parametrize("path", [API, f"{API}/"])
def test_a_stranger_of_the_api_is_refused(checking, path, content_type):
    answer = send(checking, path, content_type)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
def test_an_unknown_token_is_refused(checking, content_type):
    answer = send(checking, API, content_type, HTTP_AUTHORIZATION="Bearer unknown")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
def test_a_token_without_the_scope_is_refused(make_client, checking, content_type):
    token = make_client("imports:read")._credentials["HTTP_AUTHORIZATION"]

    answer = send(checking, API, content_type, HTTP_AUTHORIZATION=token)

    assert (answer.status_code, answer.json()["missing_scope"]) == (403, "imports:write")


@pytest.mark.parametrize("content_type", [FORM, "text/csv", "application/zip"])
@pytest.mark.parametrize("authorization", ["Basic eDp5", "Bearer", "Token x", ""])
def test_another_kind_of_credentials_is_refused(checking, registrar, authorization, content_type):
    checking.force_login(registrar)  # programs have no session

    answer = send(checking, API, content_type, HTTP_AUTHORIZATION=authorization)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("content_type", [FORM, "text/csv"])
def test_a_session_that_is_over_is_refused_by_the_api(checking, registrar, content_type):
    checking.force_login(registrar)
    session = checking.session
    session[LOGIN_TIME_KEY] -= settings.SESSION_HOURS * 3600
    session.save()

    answer = send(checking, API, content_type)

    assert (answer.status_code, answer.json()["detail"]) == (401, "The session has ended. Log in again.")


def test_a_member_of_staff_without_the_permission_is_refused_by_the_admin(checking, viewer):
    checking.force_login(viewer)

    assert send(checking, ADMIN).status_code == 403


@pytest.mark.parametrize("content_type", [FORM, "text/csv"])
def test_a_member_of_staff_without_the_permission_is_refused_by_the_api(checking, viewer, content_type):
    checking.force_login(viewer)

    answer = send(checking, API, content_type)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["missing_permission"]) == (
        403,
        "permission_denied",
        "bulk.add_import",
    )


@pytest.mark.parametrize(("change", "status"), [({"is_active": False}, 302), ({"is_staff": False}, 302)])
def test_an_account_that_is_no_longer_staff_is_led_to_the_login(checking, registrar, change, status):
    checking.force_login(registrar)
    User.objects.filter(pk=registrar.pk).update(**change)

    answer = send(checking, ADMIN)

    assert (answer.status_code, answer["Location"]) == (status, f"/admin/login/?next={ADMIN}")


def test_a_registrar_may_send_a_file(checking, registrar):
    """The same request is read where its sender may send it: the other tests could fail."""
    checking.force_login(registrar)

    with pytest.raises(AssertionError, match="The body was read"):
        send(checking, ADMIN)
