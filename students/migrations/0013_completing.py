from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("students", "0012_registrars_export_personal_data"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="studentcourse",
            options={
                "default_permissions": ("add", "change", "view"),
                "ordering": ["-id"],
                "permissions": [
                    ("waive_rules", "Can waive rules about enrollment"),
                    ("complete_enrollments", "Can complete enrollments, with a grade"),
                ],
                "verbose_name": "enrollment",
                "verbose_name_plural": "enrollments",
            },
        ),
    ]
