"""Terms have a census day, the day as of which enrollments are counted."""

from django.db import migrations, models

FIELD = models.DateField(
    blank=True,
    help_text="The day as of which enrollments are counted.",
    null=True,
    verbose_name="census day",
)


class Migration(migrations.Migration):
    dependencies = [("courses", "0010_credits")]

    operations = [
        migrations.AddField("historicalterm", "census_on", FIELD),
        migrations.AddField("term", "census_on", FIELD.clone()),
        migrations.AddConstraint(
            "term",
            models.CheckConstraint(
                condition=models.Q(("census_on__gte", models.F("starts_on")), ("census_on__lte", models.F("ends_on"))),
                name="term_census_is_within_its_dates",
                violation_error_code="census_outside_term",
                violation_error_message="The census day must lie between the first and the last day of the term.",
            ),
        ),
    ]
