"""The navigation of the admin contains exactly the pages that a user may view."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from unfold.admin import ModelAdmin

TO_LOOK = ["Home", "Enrollments", "Students", "Holds", "Courses", "Terms", "Grades", "Imports", "Journal", "Refusals"]
REGISTRATION = [*TO_LOOK[:2], "Enroll many", *TO_LOOK[2:8], "OneRoster files", *TO_LOOK[8:]]
ACCESS = [
    "Access",
    "Record of access",
    "Course staff",
    "API clients",
    "Webhooks",
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


def test_the_navigation_lists_enrollment_pages_for_registrars_and_viewers(registrar, viewer, client):
    client.force_login(viewer)
    assert titles(client) == TO_LOOK

    client.force_login(registrar)
    assert titles(client) == [*REGISTRATION, "Course staff"]


@pytest.mark.django_db
def test_the_navigation_lists_access_pages_for_administrators(admin_client):
    assert titles(admin_client) == [*REGISTRATION, *ACCESS]


@pytest.mark.django_db
def test_the_navigation_lists_only_home_without_permissions(client):
    client.force_login(User.objects.create_user("guest", is_staff=True))

    assert titles(client) == ["Home"]


@pytest.mark.django_db
def test_every_navigation_entry_links_to_a_page(admin_client):
    assert [admin_client.get(str(item["link"])).status_code for item in entries(admin_client)] == [200] * 21


def test_every_registered_model_admin_uses_the_admin_theme():
    assert [model for model, desk in admin.site._registry.items() if not isinstance(desk, ModelAdmin)] == []
