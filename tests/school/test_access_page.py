"""The access page: its sections for each kind of user, and revoking a client."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from courses.api_client_creation import create_api_client
from school.access.access_log import Action, Door, Subject, record
from school.models import ApiClient
from students.models import Student
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

PAGE = "/admin/access/"


def visible_text(answer):
    return re.sub(r"(<[^>]*>|\s)+", " ", answer.content.decode())


@pytest.fixture
def portal():
    """A client that is limited to a term, with a token."""
    make_term(code="2026F")
    keys = create_api_client("portal", "students:read courses:read", terms=["2026F"])
    return keys, ApiClient.objects.get(client_id=keys.client_id)


def token_of(keys):
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    return Client().post("/oauth/token", form)


def status_with(token):
    return Client().get("/api/v1/courses", headers={"Authorization": f"Bearer {token}"}).status_code


def test_the_access_page_lists_clients_staff_and_the_record_of_access(portal, admin_client, registrar):
    token_of(portal[0])
    record(Action.EXPORTED, Subject.ROSTER, Door.API, actor_id=registrar.pk, course_id=make_course(code="M-1").pk)

    page = visible_text(admin_client.get(PAGE))

    for words in (
        "portal students:read courses:read 2026F",
        " 1 Revoke ",
        "admin Administrator",
        "registrar Registrar –",
        "registrar exported: roster M-1 API",
    ):
        assert words in page


def test_clients_are_sorted_by_last_use_with_unused_ones_last(portal, admin_client):
    for number in range(3):
        create_api_client(f"unused {number}", "students:read")
    token = token_of(portal[0]).json()["access_token"]
    assert status_with(token) == 200
    ApiClient.objects.filter(client_id=portal[0].client_id).update(last_used_at=timezone.now())

    page = visible_text(admin_client.get(PAGE))

    names = ["portal", "unused 0", "unused 1", "unused 2"]
    assert sorted(names, key=page.index) == names


def test_the_access_page_shows_only_the_sections_that_permissions_allow(portal, client, registrar):
    client.force_login(registrar)
    assert client.get(PAGE).status_code == 403

    registrar.user_permissions.add(Permission.objects.get(codename="view_personaldataaccess"))
    assert client.get(PAGE).context["sections"] == ["record"]

    registrar.user_permissions.add(Permission.objects.get(codename="view_apiclient"))
    page = client.get(PAGE)
    assert (page.context["sections"], "Revoke" in visible_text(page)) == (["clients", "record"], False)


def test_a_client_is_revoked_after_confirmation_and_admitted_again(portal, admin_client):
    keys, program = portal
    token = token_of(keys).json()["access_token"]
    address = f"/admin/school/apiclient/{program.pk}"

    question = visible_text(admin_client.get(f"{address}/revoke/"))
    before = status_with(token)
    page = admin_client.post(f"{address}/revoke/", follow=True)

    assert ("Revoke the access of portal?" in question, before) == (True, 200)
    assert [str(message) for message in page.context["messages"]] == [
        "Access of portal is revoked. This takes effect within one minute."
    ]
    assert (status_with(token), token_of(keys).status_code, "access revoked" in visible_text(page)) == (401, 401, True)

    admin_client.post(f"{address}/admit/")
    assert (status_with(token), token_of(keys).status_code) == (401, 200)


@pytest.mark.parametrize("size", [1, 20])
def test_the_access_page_takes_the_same_queries_for_any_number_of_rows(
    size, admin_client, registrar, django_assert_max_num_queries
):
    make_term(code="2026F")
    for number in range(size):
        create_api_client(f"program {number}", "students:read", terms=["2026F"])
        User.objects.create_user(f"clerk {number}", is_staff=True)
        record(Action.EXPORTED, Subject.ROSTER, Door.API, actor_id=registrar.pk, course_id=make_course().pk)

    with django_assert_max_num_queries(12):
        admin_client.get(PAGE)


def test_the_record_of_access_is_searchable_and_read_only(admin_client, registrar):
    student = make_student()
    record(Action.EXPORTED, Subject.STUDENT, Door.ADMIN, actor_id=registrar.pk, student_id=student.pk)
    Student.objects.all().delete()
    address = "/admin/school/personaldataaccess/"

    found = admin_client.get(address, {"q": "registrar"}).context["cl"].result_list
    page = admin_client.get(f"{address}{found[0].pk}/change/")

    assert [line.about for line in found] == [str(student.pk)]
    assert (page.status_code, "_save" in page.content.decode()) == (200, False)
    assert admin_client.get(f"{address}add/").status_code == 403
    assert admin_client.post(f"{address}{found[0].pk}/delete/", {"post": "yes"}).status_code == 403
