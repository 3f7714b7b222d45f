"""The number of an erased student is the pseudonym, for good."""

from django.db import migrations, models
from django.db.models import Q, Value
from django.db.models.functions import Cast, Concat


class Migration(migrations.Migration):
    dependencies = [("students", "0024_erased_numbers")]

    operations = [
        migrations.RemoveConstraint(model_name="student", name="student_is_nobody_once_erased"),
        migrations.AddConstraint(
            model_name="student",
            constraint=models.CheckConstraint(
                condition=Q(erased_at__isnull=True)
                | Q(
                    student_number=Concat(Value("erased-"), Cast("id", models.CharField())),
                    given_name="",
                    family_name="",
                    email="",
                    is_active=False,
                ),
                name="student_is_nobody_once_erased",
                violation_error_code="erased",
                violation_error_message="The data of this student was erased, and cannot be given again.",
            ),
        ),
    ]
