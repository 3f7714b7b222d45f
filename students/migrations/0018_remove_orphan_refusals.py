"""Delete refusals whose student or course has been deleted: the next migration adds the foreign keys."""

from typing import Any

from django.db import migrations
from django.db.models import Exists, OuterRef


def remove_orphans(apps: Any, schema_editor: Any) -> None:
    refused = apps.get_model("students", "RefusedAct").objects.using(schema_editor.connection.alias)
    for app, name in (("students", "Student"), ("courses", "Course")):
        there = apps.get_model(app, name).objects.filter(pk=OuterRef(f"{name.lower()}_id"))
        refused.filter(~Exists(there)).delete()


class Migration(migrations.Migration):
    dependencies = [("students", "0017_staff_see_refusals"), ("courses", "0002_course_staff")]
    # Reversed, nothing is done: an orphan names nothing that could be restored.
    operations = [migrations.RunPython(remove_orphans, migrations.RunPython.noop)]
