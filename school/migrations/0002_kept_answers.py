"""Answers kept for retries."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("school", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                (
                    "fingerprint",
                    models.CharField(
                        help_text="Of method, address and body.", max_length=64, verbose_name="fingerprint"
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
                "verbose_name": "kept answer",
                "verbose_name_plural": "kept answers",
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("user", "key"), name="answer_is_kept_once")],
            },
        ),
    ]
