"""Writers of the history of students set markers, so that the change feed misses no version."""

from django.db import migrations

from school.migration_helpers import set_markers_of_writers


class Migration(migrations.Migration):
    dependencies = [("students", "0035_groups_see_holds")]

    operations = [set_markers_of_writers("students_historicalstudent", 0x5C51)]
