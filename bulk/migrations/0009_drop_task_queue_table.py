"""
Drops the table of the task queue that workers used before imports were the queue.

It contained only ids of imports, which workers find by themselves. The migrations of the queue are forgotten, so that
an earlier version, to which the database is taken back, creates the table again.
"""

from typing import Any

from django.db import migrations
from django.db.migrations.recorder import MigrationRecorder

APP, TABLE = "django_tasks_database", "django_tasks_database_dbtaskresult"


def drop_table(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(f"DROP TABLE IF EXISTS {TABLE}")
    MigrationRecorder(schema_editor.connection).migration_qs.filter(app=APP).delete()


class Migration(migrations.Migration):
    dependencies = [("bulk", "0008_plain_texts")]
    operations = [migrations.RunPython(drop_table, migrations.RunPython.noop)]
