"""Registrars import files, viewers see what became of them."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = {"Registrar": ["view_import", "add_import", "change_import"], "Viewer": ["view_import"]}


def _permissions(apps: Any, codenames: list[str]) -> Any:
    # Django creates permissions after all migrations, which is too late for this one.
    create_permissions(installed.get_app_config("bulk"), verbosity=0, apps=apps)
    permissions = apps.get_model("auth", "Permission").objects
    return permissions.filter(content_type__app_label="bulk", codename__in=codenames)


def allow(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.add(*_permissions(apps, GROUPS[group.name]))


def forbid(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.remove(*_permissions(apps, GROUPS[group.name]))


class Migration(migrations.Migration):
    dependencies = [("students", "0006_event_of_import"), ("bulk", "0001_initial")]

    operations = [migrations.RunPython(allow, forbid)]
