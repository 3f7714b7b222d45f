"""Deletes the permissions for the table of the former task queue, and those that were granted."""

from typing import Any

from django.db import migrations

APP = "django_tasks_database"


def delete_permissions(apps: Any, schema_editor: Any) -> None:
    apps.get_model("contenttypes", "ContentType").objects.filter(app_label=APP).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0009_drop_task_queue_table"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    # An earlier version creates them again by `migrate`.
    operations = [migrations.RunPython(delete_permissions, migrations.RunPython.noop)]
