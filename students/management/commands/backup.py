"""Command that makes a backup of the database."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from school.backups import BackupError, Manifest, record_backup, snapshot, write_archive
from school.commands.base import SafeCommand
from school.commands.output import output_error
from school.commands.private_files import private_binary_output
from school.commands.progress import ProgressLines
from school.db.database_failure import database_failure
from students.models import EnrollmentEvent, StudentCourse

STANDARD_OUTPUT = "-"


class Command(SafeCommand):
    help = "Write a backup of the whole database, as it is at one moment, while servers and workers go on."
    examples = ("backup school-2026-09-01.backup", "backup - | ssh backup.example 'cat > school.backup'")
    interrupted_message = "No backup was made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="The file to create, or - for standard output.")

    def handle(self, *, file: str, **options: Any) -> None:
        if settings.POOLER:
            raise CommandError("A backup needs a direct connection: DATABASE_URL of the server, and no POOLER.")
        if file == STANDARD_OUTPUT:
            if sys.stdout.isatty():
                raise CommandError("A backup is not written to a terminal. Name a file, or use a pipe.")
            folder, output = None, self._standard_output()
        else:
            if Path(file).is_file():
                raise CommandError(f"{file} exists already. Choose another name.")
            folder, output = Path(file).resolve().parent, private_binary_output(file, durable=True)
        written = [0]
        try:
            with (
                output as stream,
                ProgressLines(self.stderr.write, lambda: f"{written[0] / 1e6:.0f} MB …"),
                snapshot(folder) as chunks,
            ):
                manifest = describe_database()
                write_archive(stream, manifest, _counted(chunks, written))
        except BackupError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(database_failure(error)) from None
        with suppress(DatabaseError):  # a standby takes no writes; the backup is complete all the same
            record_backup()
        messages = self.stderr if file == STANDARD_OUTPUT else self.stdout
        messages.write(
            f"{manifest.enrollments} enrollments, journal up to entry {manifest.last_journal_id}: "
            f"{written[0] / 1e6:.1f} MB of data."
        )

    @contextmanager
    def _standard_output(self) -> Iterator[BinaryIO]:
        try:
            with open(sys.stdout.fileno(), "wb", closefd=False) as stream:  # a handle has no path
                yield stream
        except OSError as error:
            self.stdout.discard()
            raise output_error(error) from None


def describe_database() -> Manifest:
    """Return the facts about the database. Raise ``BackupError`` for a database without tables."""
    recorder = MigrationRecorder(connection)
    if not recorder.has_table():
        raise BackupError("The database is empty: there is nothing to back up.")
    migrations: dict[str, list[str]] = {}
    for app, name in sorted(recorder.applied_migrations()):
        migrations.setdefault(app, []).append(name)
    return Manifest(
        version=settings.VERSION,
        database=connection.vendor,
        created_at=timezone.now().isoformat(timespec="seconds"),
        migrations=migrations,
        last_journal_id=EnrollmentEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0,
        enrollments=StudentCourse.objects.count(),
    )


def _counted(chunks: Iterator[bytes], written: list[int]) -> Iterator[bytes]:
    for chunk in chunks:
        written[0] += len(chunk)
        yield chunk
