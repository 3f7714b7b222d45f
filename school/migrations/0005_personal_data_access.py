import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0003_discarded_imports"),
        ("courses", "0001_initial"),
        ("school", "0004_counted_requests"),
        ("students", "0010_roster_in_order"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
                        verbose_name="door",
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
    ]
