"""The base class of the import commands, with their options, files, progress and exit codes."""

import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, TextIO

from django.core.management.base import CommandError

from bulk.commands.import_result import report_result
from bulk.commands.processing_command import ProcessingCommand, find_user, interruptible_import, process_here, write_id
from bulk.files.csv_reader import UnreadableFile, open_source
from bulk.importers.base import FLAG_SET
from bulk.importers.import_parts import parts_of
from bulk.importers.registry import importers_of, modes_of, options_of, rights_of
from bulk.jobs.submission import AlreadyApplied, ImportRequest, submit
from bulk.models import DEFAULT_DATASET, ZIP, Import, ImportChannel, Mode, OnError, Review
from bulk.reports import Report
from school.commands.private_files import OutputError, private_output
from school.commands.progress import ProgressLines
from school.refusals import Refused


class ImportCommand(ProcessingCommand):
    """Imports a file of one kind in this process; shows the result in the output and by the exit code."""

    kind: ClassVar[str]
    scope_help: ClassVar[str] = "The scope of a full file: term:CODE or course:CODE@TERM."
    full_help: ClassVar[str] = "delta (default): enrollments that are not in the file do not change. full: they end."

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
                help=self.full_help,
            )
            parser.add_argument("--scope", default="", metavar="SCOPE", help=self.scope_help)
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
