"""The tables of imports and workers."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from school.migration_helpers import run_deferred_statements


class Migration(migrations.Migration):
    replaces = [
        ("bulk", "0001_initial"),
        ("bulk", "0002_workers"),
        ("bulk", "0003_discarded_imports"),
        ("bulk", "0004_import_client"),
        ("bulk", "0005_fill_client_of_imports"),
        ("bulk", "0006_unlisted_before_rows"),
        ("bulk", "0007_import_warnings"),
        ("bulk", "0008_plain_texts"),
        ("bulk", "0009_drop_task_queue_table"),
        ("bulk", "0010_forget_task_queue_permissions"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        # Its migrations render all models that exist, so they run before: this halves the time of `migrate`.
        ("oauth2_provider", "0022_refreshtoken_token_family_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=32, verbose_name="kind")),
                ("dataset", models.CharField(default="default", max_length=64, verbose_name="dataset")),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("delta", "delta: objects that are not in the file do not change"),
                            ("full", "full: enrollments that the file no longer lists end"),
                        ],
                        default="delta",
                        max_length=8,
                        verbose_name="mode",
                    ),
                ),
                ("scope", models.CharField(blank=True, max_length=128, verbose_name="scope")),
                (
                    "on_error",
                    models.CharField(
                        choices=[("abort", "apply nothing"), ("skip", "apply the valid rows")],
                        default="abort",
                        max_length=8,
                        verbose_name="on error",
                    ),
                ),
                (
                    "review",
                    models.CharField(
                        choices=[("always", "always"), ("needed", "when needed"), ("dry_run", "preview only")],
                        default="always",
                        max_length=8,
                        verbose_name="review",
                    ),
                ),
                ("options", models.JSONField(blank=True, default=dict, verbose_name="options")),
                ("rights", models.JSONField(blank=True, default=list, verbose_name="rights")),
                ("file_name", models.CharField(blank=True, max_length=255, verbose_name="file")),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("size", models.PositiveBigIntegerField(default=0, verbose_name="size")),
                (
                    "door",
                    models.CharField(
                        choices=[("api", "API"), ("admin", "admin"), ("command", "command")],
                        max_length=8,
                        verbose_name="channel",
                    ),
                ),
                ("request_id", models.CharField(max_length=64, verbose_name="request id")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("validating", "validating"),
                            ("needs_review", "needs review"),
                            ("applying", "applying"),
                            ("done", "done"),
                            ("done_with_errors", "done with errors"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                            ("undone", "undone"),
                            ("partly_undone", "partly undone"),
                        ],
                        default="validating",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                ("problems", models.JSONField(blank=True, default=list, verbose_name="problems")),
                ("rows", models.PositiveIntegerField(blank=True, null=True, verbose_name="rows")),
                ("counts", models.JSONField(blank=True, default=dict, verbose_name="counts")),
                ("ending", models.PositiveIntegerField(default=0, verbose_name="would end")),
                ("in_scope", models.PositiveIntegerField(default=0, verbose_name="in scope")),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                ("checkpoint", models.PositiveIntegerField(default=0)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created at")),
                ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="finished at")),
                ("lease_owner", models.CharField(blank=True, max_length=255)),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
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
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="approved by",
                    ),
                ),
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="undone_by",
                        to="bulk.import",
                        verbose_name="undoes",
                    ),
                ),
                (
                    "discarded_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="The time when its file and its row results were deleted.",
                        null=True,
                        verbose_name="discarded at",
                    ),
                ),
                (
                    "client",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="API client",
                    ),
                ),
                ("unlisted", models.PositiveIntegerField(blank=True, null=True)),
                ("warnings", models.JSONField(blank=True, default=list, verbose_name="warnings")),
            ],
            options={
                "verbose_name": "import",
                "verbose_name_plural": "imports",
                "ordering": ["-id"],
                "default_permissions": ("add", "change", "view"),
                "indexes": [models.Index(fields=["client", "dataset", "-id"], name="import_by_client_and_dataset")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "validating",
                                    "needs_review",
                                    "applying",
                                    "done",
                                    "done_with_errors",
                                    "failed",
                                    "cancelled",
                                    "undone",
                                    "partly_undone",
                                ],
                            )
                        ),
                        name="import_state_is_known",
                        violation_error_message="This state is not known.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("mode", "full"), _negated=True),
                            models.Q(("scope", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="import_in_full_has_a_scope",
                        violation_error_message="A full import needs a scope.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "undo"), ("undoes__isnull", False)),
                            models.Q(models.Q(("kind", "undo"), _negated=True), ("undoes__isnull", True)),
                            _connector="OR",
                        ),
                        name="import_undoes_when_it_is_an_undo",
                        violation_error_message="An undo refers to the import that it undoes.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("client__isnull", True), ("state__in", ("validating", "needs_review", "applying"))
                        ),
                        fields=("dataset",),
                        name="import_is_one_at_a_time",
                        violation_error_code="import_in_progress",
                        violation_error_message="Another import of this dataset is running or needs review.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("client__isnull", False), ("state__in", ("validating", "needs_review", "applying"))
                        ),
                        fields=("client", "dataset"),
                        name="import_of_client_is_one_at_a_time",
                        violation_error_code="import_in_progress",
                        violation_error_message="Another import of this dataset is running or needs review.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Progress",
            fields=[
                (
                    "file_import",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="progress",
                        serialize=False,
                        to="bulk.import",
                    ),
                ),
                ("rows", models.PositiveIntegerField(default=0)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("wants_cancel", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="FileChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "file_import",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="bulk.import",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("file_import", "position"), name="file_chunk_by_position")
                ],
            },
        ),
        migrations.CreateModel(
            name="OutcomePage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("part", models.CharField(blank=True, max_length=32)),
                ("position", models.PositiveIntegerField()),
                ("counts", models.JSONField(default=dict)),
                ("content", models.BinaryField()),
                (
                    "file_import",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pages",
                        to="bulk.import",
                    ),
                ),
            ],
            options={
                "ordering": [models.OrderBy(models.F("position"))],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("file_import", "position"), name="outcome_page_by_position")
                ],
            },
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                ("name", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        run_deferred_statements(),
    ]
