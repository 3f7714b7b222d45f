"""Command that lists imports."""

from argparse import ArgumentParser
from typing import Any

from bulk.models import Import, State
from school.commands.base import SafeCommand

HEADER = ("id", "kind", "dataset", "client", "state", "rows", "counts")


class Command(SafeCommand):
    help = "List imports, the newest first: id, kind, dataset, state and rows by outcome."
    examples = ("list_imports", "list_imports --state needs_review --limit 5")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dataset", metavar="NAME", help="List only imports of this dataset.")
        parser.add_argument("--state", choices=State.values, help="List only imports in this state.")
        parser.add_argument(
            "--limit", type=positive, default=20, metavar="N", help="List at most N imports (default: 20)."
        )

    def handle(self, *, dataset: str | None, state: str | None, limit: int, **options: Any) -> None:
        imports = Import.objects.select_related("client", "progress").order_by("-pk")
        if dataset is not None:
            imports = imports.filter(dataset=dataset)
        if state is not None:
            imports = imports.filter(state=state)
        lines = [HEADER, *map(_cells, imports[:limit])]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(padded).rstrip())


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _cells(job: Import) -> tuple[str, ...]:
    client = job.client.get_username() if job.client else "-"
    rows = str(job.progress.rows) if job.rows is None or job.state == State.APPLYING else str(job.rows)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(job.counts.items()))
    return (str(job.pk), job.kind, job.dataset, client, job.state, rows, counts or "-")
