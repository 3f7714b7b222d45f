import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0001_initial"),
        ("students", "0005_registrars_may_waive"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="enrollmentevent",
            name="file_import",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bulk.import",
                verbose_name="import",
            ),
        ),
        migrations.AddIndex(
            model_name="enrollmentevent",
            index=models.Index(
                condition=models.Q(("file_import__isnull", False)), fields=["file_import", "id"], name="event_by_import"
            ),
        ),
    ]
