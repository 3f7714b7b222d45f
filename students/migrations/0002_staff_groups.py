"""The groups that staff begin with, and their permissions."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

READ = [
    "bulk.view_import",
    "courses.view_term",
    "courses.view_course",
    "courses.view_grade",
    "students.view_student",
    "students.view_studentcourse",
    "students.view_enrollmentevent",
    "students.view_refusedact",
    "students.view_hold",
]
EDIT = [
    *(f"bulk.{verb}_import" for verb in ("add", "change")),
    *(f"courses.{verb}_{model}" for verb in ("add", "change", "delete") for model in ("term", "course", "grade")),
    *(f"courses.{verb}_coursestaff" for verb in ("add", "delete", "view")),
    *(f"students.{verb}_student" for verb in ("add", "change", "delete")),
    *(f"students.{verb}_{model}" for verb in ("add", "change") for model in ("studentcourse", "hold")),
    "students.waive_rules",
    "students.export_personal_data",
]
GROUPS = {
    "Registrar": [*READ, *EDIT],
    "Viewer": READ,
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


def make_groups(apps: Any, schema_editor: Any) -> None:
    # Django creates permissions after all migrations, which is too late for this one.
    for label in ("bulk", "courses", "school", "students"):
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    known = {
        f"{each.content_type.app_label}.{each.codename}": each
        for each in apps.get_model("auth", "Permission").objects.select_related("content_type")
    }
    for name, permissions in GROUPS.items():
        group, _created = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        group.permissions.add(*(known[permission] for permission in permissions))


def remove_groups(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):
    # Without those that 0001 replaces: Django records the replaced names, and would take this one for applied as well.
    replaces = [
        ("students", "0002_groups"),
        ("students", "0005_registrars_may_waive"),
        ("students", "0007_groups_import"),
        ("students", "0012_registrars_export_personal_data"),
        ("students", "0014_course_staff_and_auditors"),
        ("students", "0017_staff_see_refusals"),
        ("students", "0030_groups_see_grades"),
        ("students", "0035_groups_see_holds"),
    ]

    dependencies = [
        ("students", "0001_tables"),
        ("bulk", "0001_tables"),
        ("courses", "0001_tables"),
        ("school", "0002_tables"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, remove_groups)]
