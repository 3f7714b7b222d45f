"""
The record of access refuses TRUNCATE too, for which PostgreSQL fires no row trigger.

SQLite has no TRUNCATE. There, REPLACE fires the DELETE trigger because connections switch ``recursive_triggers`` on.
"""

from typing import Any

from django.db import migrations

CREATE = """
    CREATE TRIGGER access_is_not_truncated BEFORE TRUNCATE ON school_personaldataaccess
    FOR EACH STATEMENT EXECUTE FUNCTION access_is_append_only()
"""
DROP = "DROP TRIGGER access_is_not_truncated ON school_personaldataaccess"


def guard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [("school", "0006_append_only_access")]

    operations = [migrations.RunPython(guard, unguard)]
