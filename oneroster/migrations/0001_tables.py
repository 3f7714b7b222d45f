"""The tables of the published OneRoster records, and the triggers that note changes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from oneroster.migrations import _triggers
from school.migration_helpers import run_deferred_statements, run_statements


class Migration(migrations.Migration):
    replaces = [
        ("oneroster", "0001_initial"),
        ("oneroster", "0002_note_changes"),
        ("oneroster", "0003_longer_class_titles"),
        ("oneroster", "0004_note_sections"),
    ]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("courses", "0001_tables"),
        ("students", "0001_tables"),
    ]

    operations = [
        migrations.CreateModel(
            name="Progress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.BigIntegerField(null=True)),
                ("enrollment_id", models.BigIntegerField(default=0)),
                ("published_at", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Touched",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=8)),
                ("source_id", models.BigIntegerField()),
                ("account_id", models.BigIntegerField(null=True)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="OrgRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("name", models.CharField(max_length=200)),
                ("identifier", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="orgrecord_removed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SessionRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("type", models.CharField(max_length=16)),
                ("title", models.CharField(max_length=200)),
                ("begin_on", models.DateField()),
                ("end_on", models.DateField()),
                ("school_year", models.CharField(max_length=4)),
                ("parent_ref", models.UUIDField(null=True)),
                ("children", models.TextField(blank=True)),
                ("term_id", models.BigIntegerField(null=True)),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="sessionrecord_removed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CourseRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("code", models.CharField(max_length=64)),
                ("title", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="courserecord_removed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ClassRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("title", models.CharField(max_length=220)),
                ("code", models.CharField(max_length=128)),
                ("course_ref", models.UUIDField(db_index=True)),
                ("session_ref", models.UUIDField(db_index=True)),
                ("course_id", models.BigIntegerField(db_index=True)),
                ("term_id", models.BigIntegerField(db_index=True, null=True)),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="classrecord_removed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UserRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("role", models.CharField(max_length=16)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="students.student",
                    ),
                ),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="userrecord_removed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="EnrollmentRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sourced_id", models.UUIDField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("tobedeleted", "To Be Deleted")],
                        default="active",
                        max_length=11,
                    ),
                ),
                ("modified_at", models.DateTimeField(db_index=True)),
                ("removed_at", models.DateTimeField(null=True)),
                ("user_ref", models.UUIDField(db_index=True)),
                ("class_ref", models.UUIDField(db_index=True)),
                ("role", models.CharField(max_length=16)),
                ("begin_on", models.DateField()),
                ("end_on", models.DateField()),
            ],
            options={
                "ordering": ["sourced_id"],
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("removed_at__isnull", False)),
                        fields=["removed_at"],
                        name="enrollmentrecord_removed",
                    )
                ],
            },
        ),
        run_statements(_triggers.CREATE, _triggers.DROP),
        run_deferred_statements(),
    ]
