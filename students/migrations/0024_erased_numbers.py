"""An erased student whose number was changed since has the pseudonym again."""

from typing import Any

from django.db import migrations
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat


def restore_pseudonyms(apps: Any, schema_editor: Any) -> None:
    pseudonym = Concat(Value("erased-"), Cast("id", CharField()))
    students = apps.get_model("students", "Student").objects.filter(erased_at__isnull=False)
    for pk in students.exclude(student_number=pseudonym).values_list("pk", flat=True):
        apps.get_model("students", "HistoricalStudent").objects.filter(id=pk).update(student_number=f"erased-{pk}")
    students.exclude(student_number=pseudonym).update(student_number=pseudonym)


class Migration(migrations.Migration):
    dependencies = [("students", "0023_student_has_a_name")]

    operations = [migrations.RunPython(restore_pseudonyms, migrations.RunPython.noop)]
