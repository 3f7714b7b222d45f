from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0005_fill_client_of_imports"),
    ]

    operations = [
        migrations.AddField(
            model_name="import",
            name="unlisted",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
    ]
