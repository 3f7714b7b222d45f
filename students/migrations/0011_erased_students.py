from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("courses", "0001_initial"),
        ("students", "0010_roster_in_order"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="student",
            options={
                "ordering": ["family_name", "given_name", "id"],
                "permissions": [
                    ("export_personal_data", "Can export all that is held on a student"),
                    ("erase_student", "Can erase the personal data of a student"),
                ],
                "verbose_name": "student",
                "verbose_name_plural": "students",
            },
        ),
        migrations.AddField(
            model_name="student",
            name="erased_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="erased at"),
        ),
        migrations.AddConstraint(
            model_name="student",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("erased_at__isnull", True),
                    models.Q(("email", ""), ("family_name", ""), ("given_name", ""), ("is_active", False)),
                    _connector="OR",
                ),
                name="student_is_nobody_once_erased",
                violation_error_code="erased",
                violation_error_message="The data of this student was erased, and cannot be given again.",
            ),
        ),
    ]
