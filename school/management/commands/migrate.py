"""Django's command for migrations, with the help, the errors and the end of School's own commands."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

from school.commands.base import SafeCommand, database_failure
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
        except OperationalError as error:
            raise CommandError(f"{database_failure(error)} {AGAIN}") from None
