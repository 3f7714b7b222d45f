"""The tables of stored responses, cached values and accesses to personal data, and the limits of API clients."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from school.migration_helpers import refuse_changes, run_deferred_statements, run_statements
from school.migrations import _request_counter


class Migration(migrations.Migration):
    # Without those that 0001 replaces: Django records the replaced names, and would take this one for applied as well.
    replaces = [
        ("school", "0002_kept_answers"),
        ("school", "0004_counted_requests"),
        ("school", "0005_personal_data_access"),
        ("school", "0006_append_only_access"),
        ("school", "0007_access_refuses_truncate"),
        ("school", "0008_cached_values"),
        ("school", "0010_student_lists"),
    ]

    dependencies = [
        ("school", "0001_api_clients"),
        ("bulk", "0001_tables"),
        ("courses", "0001_tables"),
        ("students", "0001_tables"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "apiclient",
            "courses",
            models.ManyToManyField(blank=True, related_name="+", to="courses.course", verbose_name="courses"),
        ),
        migrations.AddField(
            "apiclient",
            "terms",
            models.ManyToManyField(blank=True, related_name="+", to="courses.term", verbose_name="terms"),
        ),
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                (
                    "fingerprint",
                    models.CharField(
                        help_text="The hash of the method, the path and the body.",
                        max_length=64,
                        verbose_name="fingerprint",
                    ),
                ),
                ("status", models.PositiveSmallIntegerField(verbose_name="status")),
                ("headers", models.JSONField(default=dict, verbose_name="headers")),
                ("content_type", models.CharField(max_length=100, verbose_name="content type")),
                ("body", models.TextField(blank=True, verbose_name="body")),
                ("at", models.DateTimeField(db_index=True, verbose_name="at")),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "stored response",
                "verbose_name_plural": "stored responses",
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("user", "key"), name="answer_is_kept_once")],
            },
        ),
        migrations.CreateModel(
            name="CachedValue",
            fields=[
                ("key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("value", models.TextField()),
                ("expires_at", models.DateTimeField(db_index=True, null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PersonalDataAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, verbose_name="at")),
                ("day", models.DateField(blank=True, null=True, verbose_name="day")),
                (
                    "door",
                    models.CharField(
                        choices=[("api", "API"), ("admin", "admin"), ("command", "command")],
                        max_length=8,
                        verbose_name="channel",
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[("viewed", "viewed"), ("exported", "exported"), ("erased", "erased")],
                        max_length=8,
                        verbose_name="action",
                    ),
                ),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("student", "student"),
                            ("students", "students"),
                            ("roster", "roster"),
                            ("import", "rows of an import"),
                            ("enrollments", "enrollments"),
                        ],
                        max_length=16,
                        verbose_name="subject",
                    ),
                ),
                ("scope", models.CharField(blank=True, max_length=64, verbose_name="scope")),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
                ("request_id", models.CharField(blank=True, max_length=64, verbose_name="request id")),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="actor",
                    ),
                ),
                (
                    "course",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "file_import",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="bulk.import",
                        verbose_name="import",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="students.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "access to personal data",
                "verbose_name_plural": "record of access to personal data",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("action", "viewed")),
                        fields=("student", "actor", "day"),
                        name="access_is_viewed_once_a_day",
                    )
                ],
            },
        ),
        refuse_changes("school_personaldataaccess", "access", "The record of access to personal data is append-only."),
        run_statements(_request_counter.CREATE, _request_counter.DROP),
        run_deferred_statements(),
    ]
