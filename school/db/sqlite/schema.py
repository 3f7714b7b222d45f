"""SQLite schema editor that keeps the triggers of a table which a migration builds anew."""

from typing import Any

from django.db.backends.sqlite3 import schema


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    def _remake_table(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """
        Build the table anew, as Django does for most changes, and create its triggers again.

        Dropping the old table drops its triggers. Django has no public hook for this; a contract test checks that it
        still calls this method.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [model._meta.db_table]
            )
            triggers = [sql for (sql,) in cursor.fetchall()]
        super()._remake_table(model, *args, **kwargs)  # type: ignore[misc]  # the stubs leave it out
        for sql in triggers:
            self.execute(sql, None)
