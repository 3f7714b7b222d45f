from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("students", "0025_erased_student_keeps_pseudonym")]

    operations = [
        migrations.AddField(
            model_name="enrollmentevent",
            name="reason_parts",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
