"""A page of enrollments in a rare status is found without going through all others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("students", "0005_registrars_may_waive")]

    operations = [
        migrations.AddIndex("studentcourse", models.Index(fields=["status", "id"], name="enrollment_by_status")),
    ]
