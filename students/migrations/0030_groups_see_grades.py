"""Registrars edit the table of grades, viewers see it."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = {"Registrar": ("add", "change", "delete", "view"), "Viewer": ("view",)}


def _permissions(apps: Any, verbs: tuple[str, ...]) -> Any:
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="courses")
    return permissions.filter(codename__in=[f"{verb}_grade" for verb in verbs])


def allow(apps: Any, schema_editor: Any) -> None:
    # Django creates permissions after all migrations, which is too late for this one.
    create_permissions(installed.get_app_config("courses"), verbosity=0, apps=apps)
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.add(*_permissions(apps, GROUPS[group.name]))


def forbid(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.remove(*_permissions(apps, GROUPS[group.name]))


class Migration(migrations.Migration):
    dependencies = [("students", "0029_enrollment_by_course"), ("courses", "0008_grades")]

    operations = [migrations.RunPython(allow, forbid)]
