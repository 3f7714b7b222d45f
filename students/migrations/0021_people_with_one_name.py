"""A person may have one name. Names have no control characters, email addresses no invisible ones."""

from typing import Any

from django.db import migrations, models

from school.validators import email_domain, plain_text


def fields() -> dict[str, Any]:
    return {
        "given_name": models.CharField(
            blank=True,
            help_text="A person with one name has it in one of the two fields.",
            max_length=150,
            validators=[plain_text],
            verbose_name="given name",
        ),
        "family_name": models.CharField(
            blank=True, max_length=150, validators=[plain_text], verbose_name="family name"
        ),
        "email": models.EmailField(
            blank=True, max_length=254, validators=[plain_text, email_domain], verbose_name="email"
        ),
    }


class Migration(migrations.Migration):
    dependencies = [("students", "0020_journal_refuses_truncate")]

    operations = [
        migrations.AlterField(model, name, field)
        for model in ("historicalstudent", "student")
        for name, field in fields().items()
    ]
