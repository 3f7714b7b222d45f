"""Two more groups: Course staff, kept to their own courses, and Auditor. Registrars say who is staff of what."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

GROUPS = {
    "Course staff": [
        "courses.own_courses_only",
        "courses.view_course",
        "courses.view_term",
        "students.view_studentcourse",
        "students.view_enrollmentevent",
        "students.complete_enrollments",
    ],
    "Auditor": ["students.view_enrollmentevent", "school.view_personaldataaccess"],
}
MORE = {"Registrar": [f"courses.{verb}_coursestaff" for verb in ("add", "delete", "view")]}


def _give(apps: Any, group: Any, permissions: list[str]) -> None:
    # Django creates permissions after all migrations, which is too late for this one.
    for label in ("courses", "school", "students"):
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    for permission in permissions:
        label, codename = permission.split(".")
        group.permissions.add(
            apps.get_model("auth", "Permission").objects.get(content_type__app_label=label, codename=codename)
        )


def make_groups(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects
    for name, permissions in GROUPS.items():
        _give(apps, groups.get_or_create(name=name)[0], permissions)
    for group in groups.filter(name__in=MORE):
        _give(apps, group, MORE[group.name])


def remove_groups(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("students", "0013_completing"),
        ("courses", "0002_course_staff"),
        ("school", "0006_append_only_access"),
    ]

    operations = [migrations.RunPython(make_groups, remove_groups)]
