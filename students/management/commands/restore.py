"""Command that restores a backup into an empty database."""

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from school.backups import BackupError, Manifest, loading, open_archive
from school.commands.base import SafeCommand
from school.commands.progress import ProgressLines
from school.db.database_failure import database_failure
from school.db.migration_check import missing_removed_migration
from students.management.commands.backup import describe_database
from students.management.commands.verify import verify

DATABASE_NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
# The apps that are installed only with single sign-on or a second factor. Without them their tables are not used.
OPTIONAL_APPS = {"account", "mfa", "socialaccount", "usersessions"}


class Command(SafeCommand):
    help = (
        "Load a backup into the empty database of DATABASE_URL, apply the migrations that are newer than the backup, "
        "and verify the result."
    )
    examples = ("restore school-2026-09-01.backup",)
    exit_codes = {**SafeCommand.exit_codes, 1: "not restored, or restored and not consistent; the message says which"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="A file that manage.py backup has made.")

    def handle(self, *, file: str, **options: Any) -> None:
        if settings.POOLER:
            raise CommandError("A restore needs a direct connection: DATABASE_URL of the server, and no POOLER.")
        self.step = "Reading the backup"
        try:
            with ProgressLines(self.stderr.write, lambda: f"{self.step} …"):
                manifest = self._restore(file)
        except BackupError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"{database_failure(error)} {self.interrupted_message}") from None
        self.interrupted_message = "The database is restored, and not verified: run manage.py verify."
        self.stdout.write(
            f"{manifest.enrollments} enrollments restored, as of {manifest.created_at}, "
            f"journal up to entry {manifest.last_journal_id}."
        )
        verify(self)

    def _restore(self, file: str) -> Manifest:
        with open_archive(file) as (manifest, open_data):
            refuse_unusable(file, manifest)
            with loading() as load:
                self.step = "Loading the data"
                with open_data() as data:
                    load(data)
                if connection.vendor == "postgresql":
                    self.interrupted_message = (
                        "The data is restored, and may not be migrated: run manage.py migrate, then manage.py verify."
                    )
                    with connection.cursor() as cursor:
                        cursor.execute("ANALYZE")  # a dump has no statistics, without which plans are slow
                self.step = "Applying migrations"
                call_command("migrate", interactive=False, verbosity=0)
                restored = describe_database()
                if restored.last_journal_id != manifest.last_journal_id or restored.enrollments != manifest.enrollments:
                    raise BackupError(f"The data in {file} is not what its manifest describes. Do not use it.")
        return manifest


def refuse_unusable(file: str, manifest: Manifest) -> None:
    """Raise ``BackupError`` for a backup of another kind of database, or of a newer version, or of a too old one."""
    if manifest.database != connection.vendor:
        made_by, here = (DATABASE_NAMES[name] for name in (manifest.database, connection.vendor))
        raise BackupError(f"{file} is a backup of {made_by}, and DATABASE_URL names a database of {here}.")
    loader = MigrationLoader(None)
    known = {*loader.disk_migrations, *(key for each in loader.disk_migrations.values() for key in each.replaces)}
    installed = {app.label for app in apps.get_app_configs()}
    applied = {(app, name) for app, names in manifest.migrations.items() for name in names}
    newer = sorted(each for each in applied - known if each[0] in installed or each[0] not in OPTIONAL_APPS)
    if newer or _numbers(manifest.version) > _numbers(settings.VERSION):
        reason = f", and has the migration {newer[0][0]}.{newer[0][1]}" if newer else ""
        raise BackupError(
            f"{file} was made by School {manifest.version}{reason}; this is {settings.VERSION}, which is older. "
            "Install the version that made the backup, or a newer one."
        )
    if missing := missing_removed_migration(loader, applied):
        raise BackupError(
            f"{file} lacks the migration {missing}, which this build has no longer. "
            "Restore it with the last build that has it, and upgrade the restored database."
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
