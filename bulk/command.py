"""What the import commands share: options, files, progress, and exit codes."""

import io
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TextIO

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from bulk.kinds import modes_of, options_of, parts_of, rights_of
from bulk.models import DEFAULT_DATASET, ZIP, Door, Import, Mode, OnError, Review
from bulk.pipeline import Order, SameAgain, cancel, receive
from bulk.reading import UnreadableFile, open_source
from bulk.reports import Report
from bulk.terminal import conclude, watching
from bulk.working import work_on
from school.refusals import Refused


class ImportCommand(BaseCommand):
    """Take in a file of one kind, work on it here and now, and say what became of it, by the exit code too."""

    kind: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        is_zip = self.kind == ZIP
        name = "A zip" if is_zip else "A CSV file"
        parser.add_argument("file", help=f"{name}, or - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Do it all, tell what would happen, and undo it.")
        parser.add_argument(
            "--on-error",
            choices=OnError.values,
            default=OnError.ABORT.value,
            help="abort (default): one bad row, and nothing is applied. skip: the good rows are.",
        )
        if not is_zip:  # whose files have columns of their own: ``import_report`` writes one at a time
            parser.add_argument("--report", metavar="OUT.csv", help="Write every row with its outcome.")
            parser.add_argument("--failed", metavar="OUT.csv", help="Write the rows with errors, as they came.")
        parser.add_argument("--actor", metavar="USERNAME", help="Who does this, for the journal.")
        parser.add_argument(
            "--dataset", default=DEFAULT_DATASET, metavar="NAME", help="The source of the file. One import at a time."
        )
        parser.add_argument("--again", action="store_true", help="Even if it is the file that was applied last.")
        if len(modes_of(self.kind)) > 1:
            parser.add_argument(
                "--mode",
                choices=modes_of(self.kind),
                default=Mode.DELTA.value,
                help="delta (default): what the file does not list is left alone. full: it ends.",
            )
            parser.add_argument("--scope", default="", metavar="SCOPE", help="Of a full file: term:CODE, course:CODE.")
        for option in options_of(self.kind).values():
            choices = {"choices": option.choices, "default": option.choices[0]} if option.choices else {"default": ""}
            flag = f"--{option.name.replace('_', '-')}"
            parser.add_argument(flag, help=str(option.help), **choices)

    def handle(self, *, file: str, report: str | None = None, failed: str | None = None, **options: Any) -> None:
        actor = user_named(options["actor"])
        if report and report == failed:
            raise CommandError("--report and --failed need a file each.")
        job = None
        try:
            with ExitStack() as stack:
                source = stack.enter_context(open_source(file))
                outputs = [stack.enter_context(opened(path, not_over=file)) for path in (report, failed)]
                job = self._receive(source, file, actor, options)
                self._work(job)
                job.refresh_from_db()
                write_reports(job, *outputs)
        except SameAgain as same:
            self.stdout.write(f"{same} Nothing to do: --again applies it all the same.")
            return
        except (UnreadableFile, Refused) as error:
            raise CommandError(f"{error} Nothing was applied.") from None
        except CannotWrite as error:
            if job is None:
                raise CommandError(f"{error} Nothing was applied.") from None
            self.stderr.write(f"{error} Its report can be had again: manage.py import_report {job.pk}")
        assert job is not None  # it was received, or an error was raised
        conclude(job, self.stdout, self.stderr)

    def _receive(self, source: BinaryIO, file: str, actor: Any, options: dict[str, Any]) -> Import:
        own = {name: options.get(name) or "" for name in options_of(self.kind)}
        order = Order(
            kind=self.kind,
            door=Door.COMMAND,
            request_id=str(uuid.uuid4()),
            file_name=Path(file).name,
            dataset=options.get("dataset") or DEFAULT_DATASET,
            mode=options.get("mode") or Mode.DELTA,
            scope=options.get("scope") or "",
            on_error=options["on_error"],
            review=Review.DRY_RUN if options["dry_run"] else Review.NEEDED,
            options={name: value for name, value in own.items() if value},
            # Who runs commands on the database's own machine may do anything; who is named has their own rights.
            rights=tuple(
                right
                for right, (_, permission) in rights_of(self.kind).items()
                if actor is None or actor.has_perm(permission)
            ),
            actor=actor,
            again=options.get("again", False) or options["dry_run"],
        )
        return receive(source, order)

    def _work(self, job: Import) -> None:
        """Do the work, and show it."""
        unknown = [name for part in parts_of(job) for name in part.importer.source().unknown_columns]
        if unknown:
            self.stderr.write(f"Unknown columns, left aside: {', '.join(unknown)}")
        work_here(job, self.stderr)


def work_here(job: Import, stderr: Any) -> None:
    """Work on an import in this process, and show its progress."""
    try:
        with watching(job, stderr) as watch:
            work_on(job.pk, watch)
    except OperationalError as error:
        why = str(error).partition("\n")[0]
        raise CommandError(f"The database gave up ({why}). {kept(job)} Run it again.") from None
    except KeyboardInterrupt:
        with suppress(Refused):
            cancel(job.pk)
        raise CommandError(f"Interrupted. {kept(job)}") from None


def kept(job: Import) -> str:
    """Say what of an import that has come to a sudden end is applied."""
    job.refresh_from_db()
    if job.checkpoint:
        return f"{job.checkpoint} rows are applied; manage.py undo_import {job.pk} takes them back."
    return "Nothing was applied."


def user_named(username: str | None) -> Any:
    """Return the user of a name, None where no name is given."""
    if username is None:
        return None
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user {username}.")
    return user


def write_reports(job: Import, report: TextIO | None, failed: TextIO | None) -> None:
    """Write the report and the failed rows of an import, where asked for."""
    for output, lines in ((report, Report.as_csv), (failed, Report.failed_as_csv)):
        if output is not None:
            output.seek(0)
            output.truncate()
            for part in parts_of(job):
                output.writelines(lines(Report(job, part)))
            output.flush()


@contextmanager
def opened(name: str | None, *, not_over: str) -> Iterator[TextIO | None]:
    """Open a file to write, and see that something can be written to it before anything is done."""
    if name is None:
        yield None
        return
    path = Path(name)
    if path.exists() and Path(not_over).exists() and path.samefile(not_over):
        raise CommandError(f"{path} is the file that is read: write elsewhere.")
    with naming(path):
        raw = _Output(path, "w")
    with io.TextIOWrapper(io.BufferedWriter(raw), newline="", encoding="utf-8") as stream:
        stream.write("row")
        stream.flush()
        yield stream


class CannotWrite(Exception):
    """An output is in the way."""


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Say which file an error is about."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"Cannot write {path}: {error.strerror}.") from None


class _Output(io.FileIO):
    """A file that says which one it is when it cannot be written: an OSError from a full disk does not."""

    def write(self, data: Any, /) -> int:
        with naming(self.name):
            return super().write(data)

    def close(self) -> None:
        with naming(self.name):
            super().close()
