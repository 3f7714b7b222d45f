"""The base class of commands that process an import themselves: they stop it on a signal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import structlog
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import OperationalError

from bulk.commands.import_result import applied_summary
from bulk.commands.progress_display import progress_display
from bulk.files.csv_reader import UnreadableFile
from bulk.jobs.leases import reserve
from bulk.jobs.processing import end_own_import, process_import
from bulk.jobs.submission import AlreadyApplied
from bulk.models import Import
from school.commands.base import SafeCommand
from school.commands.private_files import OutputError
from school.refusals import Refused

logger = structlog.get_logger(__name__)


class ProcessingCommand(SafeCommand):
    """A command that works on an import; its exit code tells how much of it is applied."""

    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "applied, without an error",
        1: "not applied; the message has the reason, and says if a part is applied",
        2: "applied, except for the rows with errors; or the command line is wrong",
        3: "waiting for review, see approve_import; or another process works on the import",
    }
    interrupted_message = "Nothing was applied."
    interrupted_code = 1

    def report_lost_output(self, error: OutputError) -> None:
        """Report the error, but keep the exit code, which tells whether the import is applied."""
        self.stderr.write(str(error))


class CommandImport:
    """The import that a command processes. Call ``reserve`` in the transaction that makes the import pending."""

    def __init__(self) -> None:
        self.job: Import | None = None

    def reserve(self, job: Import) -> None:
        reserve(job)
        self.job = job

    def end(self, error: Exception | None = None) -> str:
        """End the import if it is still being processed; return a sentence that says how much of it is applied."""
        if self.job is None or not Import.objects.filter(pk=self.job.pk).exists():
            return "Nothing was applied."
        end_own_import(self.job.pk, error)
        return applied_summary(self.job)


@contextmanager
def interruptible_import() -> Iterator[CommandImport]:
    """
    Yield the import of a command; a signal or an unexpected error in the block ends it, so that it is no longer active.
    """
    command_import = CommandImport()
    try:
        yield command_import
    except KeyboardInterrupt:
        raise CommandError(f"Interrupted. {command_import.end()}") from None
    except OperationalError as error:
        if command_import.job is None:
            raise
        why = str(error).partition("\n")[0]
        raise CommandError(f"The database failed ({why}). {command_import.end(error)} Run the command again.") from None
    except (CommandError, UnreadableFile, Refused, AlreadyApplied, OutputError):
        raise
    except Exception as error:
        if command_import.job is None:
            raise
        logger.error("import_interrupted", import_id=command_import.job.pk, exc_info=error)
        raise CommandError(f"An unexpected error ({type(error).__name__}). {command_import.end(error)}") from None


def write_id(job: Import, stderr: Any) -> None:
    """Write the id of the import before the work begins, so that another terminal can list or cancel it."""
    stderr.write(f"import {job.pk}")


def process_here(job: Import, stderr: Any) -> None:
    """Work on an import in this process, and show its progress."""
    with progress_display(job, stderr) as on_results:
        process_import(job.pk, on_results, is_last_attempt=True)
    job.refresh_from_db()


def find_user(username: str | None) -> Any:
    """Return the user with this name, None without a name; raise ``CommandError`` for an unknown name."""
    if username is None:
        return None
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username}.")
    return user
