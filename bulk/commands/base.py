"""The base class of the import commands, with their options, files, progress and exit codes."""

import uuid
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, TextIO

import structlog
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import OperationalError

from bulk.commands.progress import applied_summary, progress_display, report_result
from bulk.files.csv_reader import UnreadableFile, open_source
from bulk.importers.base import FLAG_SET
from bulk.importers.registry import importers_of, modes_of, options_of, parts_of, rights_of
from bulk.jobs.leases import reserve
from bulk.jobs.lifecycle import AlreadyApplied, ImportRequest, submit
from bulk.jobs.processing import end_own_import, process_import
from bulk.models import DEFAULT_DATASET, ZIP, Import, ImportChannel, Mode, OnError, Review
from bulk.reports import Report
from school.commands.console import SafeCommand
from school.commands.private_files import OutputError, private_output
from school.commands.progress import ProgressLines
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


class ImportCommand(ProcessingCommand):
    """Imports a file of one kind in this process; shows the result in the output and by the exit code."""

    kind: ClassVar[str]

    def epilog(self) -> str:
        """Return the columns of the file, before the examples and the exit codes."""
        lines = []
        for importer in importers_of(self.kind):
            lines += [f"Columns of {importer.file_names[0]}.csv:" if self.kind == ZIP else "Columns:"]
            for column in importer.columns:
                names = ", ".join((*column.aliases, *column.fallbacks))
                notes = ["required"] * column.required + [f"or {names}"] * bool(names)
                lines += [f"  {column.name:<22}{'; '.join(notes)}".rstrip()]
            lines += [""]
        return "\n".join([*lines, "docs/import-files.md describes each column.", "", super().epilog()])

    def add_arguments(self, parser: ArgumentParser) -> None:
        is_zip = self.kind == ZIP
        name = "A zip" if is_zip else "A CSV file"
        parser.add_argument("file", help=f"{name}, or - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Show a preview, and apply nothing.")
        parser.add_argument(
            "--on-error",
            choices=OnError.values,
            default=OnError.ABORT.value,
            help="abort (default): if any row has an error, nothing is applied. skip: the valid rows are applied.",
        )
        # No reports for a zip, because its files have different columns; ``import_report`` writes the report of one
        # file.
        if not is_zip:
            parser.add_argument(
                "--report", metavar="FILE", help="Write a report of all rows with their outcomes to this file."
            )
            parser.add_argument(
                "--failed",
                metavar="FILE",
                help="Write the rows with errors, exactly as they were sent, to this file.",
            )
        parser.add_argument("--actor", metavar="USERNAME", help="The user to record in the journal.")
        parser.add_argument(
            "--dataset",
            default=DEFAULT_DATASET,
            metavar="NAME",
            help="The source of the file. Only one import of a dataset can be active.",
        )
        parser.add_argument(
            "--again", action="store_true", help="Import the file even if it is the last file that was applied."
        )
        if len(modes_of(self.kind)) > 1:
            parser.add_argument(
                "--mode",
                choices=modes_of(self.kind),
                default=Mode.DELTA.value,
                help="delta (default): enrollments that are not in the file do not change. full: they end.",
            )
            parser.add_argument(
                "--scope", default="", metavar="SCOPE", help="The scope of a full file: term:CODE or course:CODE@TERM."
            )
        for option in options_of(self.kind).values():
            flag = f"--{option.name.replace('_', '-')}"
            if option.is_flag:
                parser.add_argument(flag, action="store_const", const=FLAG_SET, help=str(option.help))
                continue
            choices = {"choices": option.choices, "default": option.choices[0]} if option.choices else {"default": ""}
            metavar = None if option.choices else "CODE" if option.name == "term" else option.name.upper()
            parser.add_argument(flag, help=str(option.help), metavar=metavar, **choices)

    def handle(self, *, file: str, report: str | None = None, failed: str | None = None, **options: Any) -> None:
        actor = find_user(options["actor"])
        if report and report == failed:
            raise CommandError("--report and --failed need different files.")
        job = None
        try:
            with ExitStack() as stack:
                with ProgressLines(self.stderr.write, lambda: f"Reading {'standard input' if file == '-' else file}."):
                    source = stack.enter_context(open_source(file))
                    outputs = [stack.enter_context(open_output(path, input_path=file)) for path in (report, failed)]
                    command_import = stack.enter_context(interruptible_import())
                    job = submit(source, self._import_request(file, actor, options), dispatch=command_import.reserve)
                write_id(job, self.stderr)
                process_here(job, self.stderr)
                for warning in job.warnings:
                    self.stderr.write(warning["message"])
                write_reports(job, *outputs)
        except AlreadyApplied as duplicate:
            self.stdout.write(f"{duplicate} Use --again to apply it again.")
            return
        except (UnreadableFile, Refused) as error:
            raise CommandError(f"{error} Nothing was applied.") from None
        except OutputError as error:
            if job is None:
                raise CommandError(f"{error} Nothing was applied.") from None
            self.stderr.write(f"{error} To get its report again, run manage.py import_report {job.pk}.")
        assert job is not None  # either the import was submitted, or an error was raised
        report_result(job, self.stdout, self.stderr)

    def _import_request(self, file: str, actor: Any, options: dict[str, Any]) -> ImportRequest:
        values = {name: options.get(name) or "" for name in options_of(self.kind)}
        return ImportRequest(
            kind=self.kind,
            channel=ImportChannel.COMMAND,
            request_id=str(uuid.uuid4()),
            file_name=Path(file).name,
            dataset=options.get("dataset") or DEFAULT_DATASET,
            mode=options.get("mode") or Mode.DELTA,
            scope=options.get("scope") or "",
            on_error=options["on_error"],
            review=Review.DRY_RUN if options["dry_run"] else Review.NEEDED,
            options={name: value for name, value in values.items() if value},
            # Without --actor the command has all rights, because it runs on the server. With --actor it has the rights
            # of that user.
            rights=tuple(
                name
                for name, (_, permission) in rights_of(self.kind).items()
                if actor is None or actor.has_perm(permission)
            ),
            actor=actor,
            again=options.get("again", False) or options["dry_run"],
        )


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


def write_reports(job: Import, report: TextIO | None, failed: TextIO | None) -> None:
    """Write the report and the failed rows of an import to those outputs that are not None."""
    for output, lines in ((report, Report.as_csv), (failed, Report.failed_as_csv)):
        if output is not None:
            if output.seekable():
                output.seek(0)
                output.truncate()
            for part in parts_of(job):
                output.writelines(lines(Report(job, part)))
            output.flush()


@contextmanager
def open_output(name: str | None, *, input_path: str) -> Iterator[TextIO | None]:
    """
    Open an output, and check that it can be written before the import begins. Yield None without a name.

    Raise ``CommandError`` if the output is the input ``input_path``, ``OutputError`` if it cannot be written.
    """
    if name is None:
        yield None
        return
    path = Path(name)
    if path.exists() and Path(input_path).exists() and path.samefile(input_path):
        raise CommandError(f"{path} is the file that is read: write elsewhere.")
    with private_output(name) as stream:
        if stream.seekable():
            stream.write("row")
            stream.flush()
        yield stream
