"""A student has at least one name, unless the personal data was erased."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("students", "0022_normalized_texts")]

    operations = [
        migrations.AddConstraint(
            model_name="student",
            constraint=models.CheckConstraint(
                condition=~Q(given_name="", family_name="") | Q(erased_at__isnull=False),
                name="student_has_a_name",
                violation_error_code="blank",
                violation_error_message="Give at least one name.",
            ),
        ),
    ]
