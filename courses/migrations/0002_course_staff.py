import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("courses", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CourseStaff",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "course",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff",
                        to="courses.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff_of",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "member of a course's staff",
                "verbose_name_plural": "course staff",
                "ordering": ["course", "user"],
                "permissions": [("own_courses_only", "Is kept to own courses, whatever else is permitted")],
                "default_permissions": ("add", "delete", "view"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("course", "user"),
                        name="course_staff_is_named_once",
                        violation_error_code="unique",
                        violation_error_message="This user is staff of this course already.",
                    )
                ],
            },
        ),
    ]
