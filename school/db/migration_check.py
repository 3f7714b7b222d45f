"""The check that all migrations are applied, for the server, its health endpoints and commands."""

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

NOT_MIGRATED = "The database is not up to date with the code. Run manage.py migrate."


def is_migrated() -> bool:
    """
    Return True if every migration of this code is applied.

    A positive result is stored for the life of the process; later calls only check that the database answers. Raise
    ``DatabaseError`` if the database does not answer.
    """
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.append(settings.DATABASES["default"]["NAME"])
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return True


_migrated: list[object] = []
