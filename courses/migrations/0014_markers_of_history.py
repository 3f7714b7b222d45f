"""Writers of the histories of terms and courses set markers, so that the change feed misses no version."""

from django.db import migrations

from school.migration_helpers import set_markers_of_writers


class Migration(migrations.Migration):
    dependencies = [("courses", "0013_corequisites")]

    operations = [
        set_markers_of_writers("courses_historicalcourse", 0x5C52),
        set_markers_of_writers("courses_historicalterm", 0x5C53),
    ]
