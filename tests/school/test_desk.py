"""The navigation of the desk leads everybody to what they may see, and nowhere else."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from unfold.admin import ModelAdmin

TO_LOOK = ["Home", "Enrollments", "Students", "Courses", "Terms", "Imports", "Journal", "Refusals"]
REGISTRATION = [*TO_LOOK[:2], "Enroll many", *TO_LOOK[2:]]
ACCESS = [
    "Access",
    "Record of access",
    "Course staff",
    "API clients",
    "Access tokens",
    "Users",
    "Groups",
    "Locked logins",
]


def entries(client):
    navigation = client.get("/admin/").context["sidebar_navigation"]
    return [item for group in navigation for item in group["items"] if item["has_permission"]]


def titles(client):
    return [str(item["title"]) for item in entries(client)]


def test_a_registrar_and_a_viewer_are_led_to_what_is_registered(registrar, viewer, client):
    client.force_login(viewer)
    assert titles(client) == TO_LOOK

    client.force_login(registrar)
    assert titles(client) == [*REGISTRATION, "Course staff"]


@pytest.mark.django_db
def test_an_administrator_is_led_to_access_as_well(admin_client):
    assert titles(admin_client) == [*REGISTRATION, *ACCESS]


@pytest.mark.django_db
def test_who_may_see_nothing_is_led_home_only(client):
    client.force_login(User.objects.create_user("guest", is_staff=True))

    assert titles(client) == ["Home"]


@pytest.mark.django_db
def test_every_entry_leads_to_a_page(admin_client):
    assert [admin_client.get(str(item["link"])).status_code for item in entries(admin_client)] == [200] * 17


def test_everything_that_is_registered_has_the_look():
    assert [model for model, desk in admin.site._registry.items() if not isinstance(desk, ModelAdmin)] == []
