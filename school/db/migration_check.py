"""The check that all migrations are applied, for the server, its health endpoints and commands."""

from collections.abc import Collection

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

Key = tuple[str, str]  # the app and the name of a migration

NOT_MIGRATED = "The database is not up to date with the code. Run manage.py migrate."


def missing_removed_migration(loader: MigrationLoader, applied: Collection[Key]) -> str | None:
    """
    Return the newest migration that a database lacks and that this code has no longer, as app.name, or None.

    Migrations are replaced together. For a database that has only some of them, Django leaves the replacement out of
    its plan and expects the others to be applied one by one. These do not exist, so nothing would be applied.
    """
    for replacement in loader.disk_migrations.values():
        missing = [key for key in replacement.replaces if key not in applied]
        removed = [key for key in missing if key not in loader.disk_migrations]
        if removed and len(missing) < len(replacement.replaces):
            return ".".join(max(removed))
    return None


def is_migrated() -> bool:
    """
    Return True if every migration of this code is applied.

    A positive result is stored for the life of the process; later calls only check that the database answers. Raise
    ``DatabaseError`` if the database does not answer.
    """
    if not _migrated:
        executor = MigrationExecutor(connection)
        loader = executor.loader
        if missing_removed_migration(loader, loader.applied_migrations):
            return False
        if executor.migration_plan(loader.graph.leaf_nodes()):
            return False
        _migrated.append(settings.DATABASES["default"]["NAME"])
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return True


_migrated: list[object] = []
