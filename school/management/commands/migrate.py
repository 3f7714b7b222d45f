"""Django's command for migrations, with the help, the errors and the end of School's own commands."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from school.commands.base import SafeCommand
from school.db.database_failure import database_failure, is_operational
from school.db.migration_check import missing_removed_migration

AGAIN = "A migration is applied completely or not at all: run manage.py migrate again."


class Command(SafeCommand, migrate.Command):
    examples = ("migrate", "migrate --plan")
    interrupted_message = AGAIN

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            loader = MigrationLoader(connection)
            if missing := missing_removed_migration(loader, loader.applied_migrations):
                raise CommandError(
                    f"The database lacks the migration {missing}, which this build has no longer. "
                    "Upgrade the database first with the last build that has it."
                )
            super().handle(*args, **options)
        except DatabaseError as error:
            if not is_operational(error):
                raise
            raise CommandError(f"{database_failure(error)} {AGAIN}") from None
