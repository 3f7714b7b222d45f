from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("students", "0014_course_staff_and_auditors"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="enrollmentevent",
            index=models.Index(
                condition=models.Q(("channel__in", ["admin", "system"])), fields=["request_id"], name="event_by_click"
            ),
        ),
    ]
