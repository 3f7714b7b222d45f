"""The base class of the export commands."""

from argparse import ArgumentParser
from contextlib import nullcontext
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet

from bulk.commands.processing_command import find_user
from bulk.exports import Export
from school.access.access_log import Action, Door, record
from school.commands.base import SafeCommand
from school.commands.private_files import private_output
from school.commands.progress import ProgressLines


class ExportCommand(SafeCommand):
    """Writes rows of one kind as CSV, with the columns that the import of the kind reads."""

    export: ClassVar[Export]

    def epilog(self) -> str:
        """Return the columns, before the examples and the exit codes."""
        return f"Columns: {', '.join(self.export.columns)}.\n\n{super().epilog()}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output", metavar="FILE", help="Write to this file, readable only by its owner, not to standard output."
        )
        if self.export.subject:
            parser.add_argument("--actor", metavar="USERNAME", help="The user to record in the record of access.")

    def rows(self, options: dict[str, Any]) -> QuerySet[Any]:
        """Return the rows to export; raise ``CommandError`` for an option that names nothing."""
        raise NotImplementedError

    def as_of(self, options: dict[str, Any]) -> datetime | None:
        """Return the instant of the rows, None for now; raise ``CommandError`` for an option that names none."""
        return None

    def handle(self, *, output: str | None, **options: Any) -> None:
        actor = find_user(options.get("actor"))
        rows, as_of = self.rows(options), self.as_of(options)
        if self.export.subject:
            about = {"actor_id": actor and actor.pk, "scope": options.get("term") or ""}
            record(Action.EXPORTED, self.export.subject, Door.COMMAND, **about)
        done = 0
        is_shown = output is None and self.stdout.isatty()  # lines of progress would be among the rows
        lines = ProgressLines(self.stderr.write, lambda: f"{done} rows of {self.export.kind} exported so far.")
        with (
            nullcontext() if is_shown else lines,
            private_output(output) if output else nullcontext(self.stdout.data) as target,
        ):
            for count, text in self.export.stream(rows, as_of):
                target.write(text)
                done += count
            target.flush()
        self.stderr.write(f"{done} rows exported.")
