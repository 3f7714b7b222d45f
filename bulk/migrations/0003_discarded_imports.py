from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0002_workers"),
    ]

    operations = [
        migrations.AddField(
            model_name="import",
            name="discarded_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since when its file and its outcomes are gone.",
                null=True,
                verbose_name="discarded at",
            ),
        ),
    ]
