"""Registrars place and release holds, viewers see them."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = {"Registrar": ("add", "change", "view"), "Viewer": ("view",)}


def _permissions(apps: Any, verbs: tuple[str, ...]) -> Any:
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="students")
    return permissions.filter(codename__in=[f"{verb}_hold" for verb in verbs])


def allow(apps: Any, schema_editor: Any) -> None:
    # Django creates permissions after all migrations, which is too late for this one.
    create_permissions(installed.get_app_config("students"), verbosity=0, apps=apps)
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.add(*_permissions(apps, GROUPS[group.name]))


def forbid(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.remove(*_permissions(apps, GROUPS[group.name]))


class Migration(migrations.Migration):
    dependencies = [("students", "0034_holds")]

    operations = [migrations.RunPython(allow, forbid)]
