"""
The journal refuses TRUNCATE too, for which PostgreSQL fires no row trigger.

SQLite has no TRUNCATE. There, REPLACE fires the DELETE trigger because connections switch ``recursive_triggers`` on.
"""

from typing import Any

from django.db import migrations

CREATE = """
    CREATE TRIGGER journal_is_not_truncated BEFORE TRUNCATE ON students_enrollmentevent
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()
"""
DROP = "DROP TRIGGER journal_is_not_truncated ON students_enrollmentevent"


def guard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [("students", "0019_refusals_have_foreign_keys")]

    operations = [migrations.RunPython(guard, unguard)]
