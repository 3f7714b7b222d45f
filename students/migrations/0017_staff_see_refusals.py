"""Registrars and viewers see who was refused."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = ("Registrar", "Viewer")


def _permission(apps: Any) -> Any:
    # Django creates permissions after all migrations, which is too late for this one.
    create_permissions(installed.get_app_config("students"), verbosity=0, apps=apps)
    permissions = apps.get_model("auth", "Permission").objects
    return permissions.get(content_type__app_label="students", codename="view_refusedact")


def allow(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.add(_permission(apps))


def forbid(apps: Any, schema_editor: Any) -> None:
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.remove(_permission(apps))


class Migration(migrations.Migration):
    dependencies = [("students", "0016_refused_acts")]

    operations = [migrations.RunPython(allow, forbid)]
