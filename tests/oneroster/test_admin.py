"""The page of the admin that exports the files of OneRoster."""

from datetime import UTC, datetime

import pytest

from oneroster.publishing import publish
from school.models import PersonalDataAccess
from tests.oneroster.rosters import make_roster
from tests.oneroster.test_bundle import bundle, read

pytestmark = pytest.mark.django_db

PAGE = "/admin/oneroster/"


@pytest.fixture
def roster(actor):
    return make_roster(actor)


def test_the_navigation_leads_to_the_page_for_users_who_may_export(registrar_client, viewer, client):
    assert f'href="{PAGE}"' in registrar_client.get("/admin/").content.decode()

    client.force_login(viewer)
    assert PAGE not in client.get("/admin/").content.decode()
    assert (client.get(PAGE).status_code, client.post(PAGE, {"version": "1.2"}).status_code) == (403, 403)


@pytest.mark.parametrize(
    ("form", "version", "options"),
    [
        ({"version": "1.1"}, "1.1", {}),
        ({"version": "1.2", "delta_since": ""}, "1.2", {}),
        (
            {"version": "1.2", "delta_since": "2020-01-01T00:00:00Z"},
            "1.2",
            {"since": datetime(2020, 1, 1, tzinfo=UTC)},
        ),
    ],
)
def test_the_page_exports_the_files_and_records_it(registrar_client, registrar, roster, form, version, options):
    answer = registrar_client.post(PAGE, form)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="oneroster-{version}.zip"'
    assert read(b"".join(answer.streaming_content)) == bundle(version, **options)
    [entry] = PersonalDataAccess.objects.filter(action="exported")
    assert (entry.door, entry.subject, entry.actor) == ("admin", "enrollments", registrar)


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ({}, {"version": ["required"]}),
        ({"version": "1.0"}, {"version": ["invalid_choice"]}),
        ({"version": "1.2", "delta_since": "yesterday"}, {"delta_since": ["invalid"]}),
        ({"version": "1.2", "delta_since": "2" * 41}, {"delta_since": ["max_length"]}),
    ],
)
def test_the_page_shows_the_errors_of_a_form_and_exports_nothing(registrar_client, form, errors):
    answer = registrar_client.post(PAGE, {"sent": "yes", **form})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    found = answer.context["form"].errors.as_data()
    assert {name: [each.code for each in each_field] for name, each_field in found.items()} == errors
    assert PersonalDataAccess.objects.count() == 0


def test_the_page_exports_nothing_while_many_changes_are_being_prepared(registrar_client, roster, monkeypatch):
    monkeypatch.setattr("oneroster.admin.REQUEST_SECONDS", 0)
    answer = registrar_client.post(PAGE, {"version": "1.2"})

    assert "Many changes are still being prepared." in answer.content.decode()
    assert PersonalDataAccess.objects.count() == 0
    publish()
    assert registrar_client.post(PAGE, {"version": "1.2"}).headers["Content-Type"] == "application/zip"
