"""Names have no control characters."""

from django.db import migrations, models

from school.validators import plain_text


def name() -> "models.CharField[str, str]":
    return models.CharField(max_length=200, validators=[plain_text], verbose_name="name")


class Migration(migrations.Migration):
    dependencies = [("courses", "0004_drop_deadline_within_term")]

    operations = [
        migrations.AlterField(model, "name", name())
        for model in ("course", "historicalcourse", "historicalterm", "term")
    ]
