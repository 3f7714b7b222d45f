"""What the import commands share: options, files, progress, and exit codes."""

import io
import uuid
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, TextIO

import structlog
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bulk.importing import Importer, RowResult, Summary, run_import
from bulk.reading import Column, Table, UnreadableFile, open_source

SHOWN_ERRORS = 20
EVERY = 10_000


class ImportCommand(BaseCommand):
    """Read the options, run the import, say what became of it, and exit with 0, 1 or 2."""

    columns: ClassVar[tuple[Column, ...]]

    @abstractmethod
    def importer(self, *, actor: Any, run_id: str, **options: Any) -> Importer:
        """Return the importer, acting for ``actor`` (a user or None) in the run of this id, with the own options."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="A CSV file, or - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Do it all, tell what would happen, and undo it.")
        parser.add_argument(
            "--on-error",
            choices=["abort", "skip"],
            default="abort",
            help="abort (default): one bad row, and nothing is applied. skip: the good rows are.",
        )
        parser.add_argument("--report", metavar="OUT.csv", help="Write every row with its outcome.")
        parser.add_argument("--failed", metavar="OUT.csv", help="Write the rows with errors, as they came.")
        parser.add_argument("--actor", metavar="USERNAME", help="Who does this, for the journal.")

    def handle(self, *, file: str, dry_run: bool, on_error: str, actor: str | None, **options: Any) -> None:
        run_id = str(uuid.uuid4())
        importer = self.importer(actor=self._user(actor), run_id=run_id, **options)
        outputs = [Path(options[name]) if options[name] else None for name in ("report", "failed")]
        if outputs[0] and outputs[0] == outputs[1]:
            raise CommandError("--report and --failed need a file each.")
        summary = None
        try:
            with ExitStack() as stack:
                stack.enter_context(structlog.contextvars.bound_contextvars(request_id=run_id))
                table = Table(stack.enter_context(open_source(file)), importer.columns)
                if table.unknown_columns:
                    self.stderr.write(f"Unknown columns, left aside: {', '.join(table.unknown_columns)}")
                total = table.count()
                report, failed = (stack.enter_context(_opened(path, not_over=file)) for path in outputs)
                with self._watching(total, [output for output in (report, failed) if output]) as watch:
                    summary = run_import(
                        importer,
                        table,
                        skip_errors=on_error == "skip",
                        dry_run=dry_run,
                        report=report,
                        failed=failed,
                        watch=watch,
                    )
        except UnreadableFile as error:
            raise CommandError(f"{error} Nothing was applied.") from None
        except OperationalError as error:
            why = str(error).partition("\n")[0]
            raise CommandError(f"The database gave up ({why}). Nothing was applied: run it again.") from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Nothing was applied.") from None
        except _CannotWrite as error:
            if summary is None:
                raise CommandError(f"{error} Nothing was applied.") from None
            self.stderr.write(str(error))  # some file systems tell it only at the end: what was applied stays so
        assert summary is not None
        self._conclude(summary, dry_run=dry_run)

    def _user(self, username: str | None) -> Any:
        if username is None:
            return None
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        return user

    @contextmanager
    def _watching(self, total: int, outputs: Sequence[TextIO]) -> Iterator[Callable[[RowResult], None]]:
        """Show errors as they come, and progress: a bar on a terminal, a line now and then in a pipe."""
        console = Console(stderr=True)
        progress = Progress(
            TextColumn("{task.fields[kind]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} rows/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        with progress:
            task = progress.add_task("", total=total, kind="rows", rate="-")
            seen = shown = 0

            def watch(result: RowResult) -> None:
                nonlocal seen, shown
                seen += 1
                if result.errors and shown < SHOWN_ERRORS:
                    shown += 1
                    for error in result.errors:
                        place = f"row {result.row.number}" + (f", {error.field}" if error.field else "")
                        self.stderr.write(f"{place}: {error.code}: {error.message}")
                if seen % 500 == 0 or seen == total:
                    speed = progress.tasks[0].speed
                    progress.update(task, completed=seen, rate=f"{speed:,.0f}" if speed else "-")
                if seen >= total:
                    progress.stop()  # before anything is logged into its line
                    for output in outputs:
                        output.flush()  # before the commit, which an output that cannot be written prevents
                if seen % EVERY == 0 and not console.is_terminal:
                    self.stderr.write(f"{seen} of {total} rows")

            yield watch

    def _conclude(self, summary: Summary, *, dry_run: bool) -> None:
        for outcome, count in sorted(summary.counts.items()):
            self.stdout.write(f"{count:>9} {outcome}")
        if summary.errors > SHOWN_ERRORS:
            self.stderr.write(f"The first {SHOWN_ERRORS} rows with errors are shown, --report has all of them.")
        if not summary.applied:
            would = "would be" if dry_run else "was"
            raise CommandError(f"{summary.errors} of {summary.rows} rows have errors: nothing {would} applied.")
        would = "would be" if dry_run else "were"
        self.stdout.write(f"{summary.rows - summary.errors} of {summary.rows} rows {would} applied.")
        if summary.exit_code:
            raise SystemExit(summary.exit_code)


@contextmanager
def _opened(path: Path | None, *, not_over: str) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    if path.exists() and Path(not_over).exists() and path.samefile(not_over):
        raise CommandError(f"{path} is the file that is read: write elsewhere.")
    with _naming(path):
        raw = _Output(path, "w")
    with io.TextIOWrapper(io.BufferedWriter(raw), newline="", encoding="utf-8") as stream:
        yield stream


class _CannotWrite(Exception):
    pass


@contextmanager
def _naming(path: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _CannotWrite(f"Cannot write {path}: {error.strerror}.") from None


class _Output(io.FileIO):
    """A file that says which one it is when it cannot be written: an OSError from a full disk does not."""

    def write(self, data: Any, /) -> int:
        with _naming(self.name):
            return super().write(data)

    def close(self) -> None:
        with _naming(self.name):
            super().close()
