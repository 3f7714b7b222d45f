"""The two groups that staff begin with: Registrar edits, Viewer reads."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

READ = [
    "courses.view_term",
    "courses.view_course",
    "students.view_student",
    "students.view_studentcourse",
    "students.view_enrollmentevent",
]
EDIT = [
    *(f"courses.{verb}_{model}" for verb in ("add", "change", "delete") for model in ("term", "course")),
    *(f"students.{verb}_student" for verb in ("add", "change", "delete")),
    *(f"students.{verb}_studentcourse" for verb in ("add", "change")),
]
GROUPS = {"Registrar": [*READ, *EDIT], "Viewer": READ}


def make_groups(apps: Any, schema_editor: Any) -> None:
    # Django creates permissions after all migrations, which is too late for this one.
    for label in ("courses", "students"):
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    for name, permissions in GROUPS.items():
        group, _created = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        for permission in permissions:
            label, codename = permission.split(".")
            group.permissions.add(
                apps.get_model("auth", "Permission").objects.get(content_type__app_label=label, codename=codename)
            )


def remove_groups(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("students", "0001_initial"),
        ("courses", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, remove_groups)]
