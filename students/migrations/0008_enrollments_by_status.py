"""A page of enrollments in a rare status is found without going through all others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("students", "0007_groups_import")]

    operations = [
        migrations.AddIndex("studentcourse", models.Index(fields=["status", "id"], name="enrollment_by_status")),
    ]
