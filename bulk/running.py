"""
Running an import: all of it in one transaction, or chunk by chunk with a checkpoint.

Who runs it has the row of the import locked in every transaction, so that nobody else can: a process that is killed
lets go of it, and what it had not committed never was. A preview is the real run rolled back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from django.db import transaction

from bulk.duplicates import FirstRows
from bulk.importing import CHUNK, DROPPED, Importer, RowResult, apply_rows, note_keys
from bulk.leases import Lease
from bulk.models import Import, Mode, OutcomePage
from bulk.outcomes import Book
from bulk.reading import Row
from school.retry import retried

Watch = Callable[[Sequence[RowResult]], None]


@dataclass
class Part:
    """One file of an import: a zip has several. ``first_rows`` knows what its rows are about."""

    importer: Importer
    name: str = ""
    first_rows: FirstRows = field(default_factory=FirstRows)
    is_readable: bool = True

    def chunks(self) -> Iterator[list[Row]]:
        return self.importer.source().chunks(CHUNK)

    def apply(self, rows: list[Row]) -> list[RowResult]:
        self.is_readable &= not any(row.errors for row in rows)
        return apply_rows(self.importer, rows, self.first_rows)

    def skip(self, rows: list[Row]) -> None:
        """Go past rows that are applied already, and remember what they were about."""
        note_keys(self.importer, [row for row in rows if not row.errors], self.first_rows)


class Run:
    """A run of an import's parts under a lease."""

    def __init__(self, lease: Lease, parts: list[Part], watch: Watch) -> None:
        self.lease = lease
        self.parts = parts
        self.watch = watch

    def whole(self, conclude: Callable[[Import, Book], bool]) -> None:
        """
        Run all of it in one transaction.

        ``conclude`` is asked at its end whether to keep it, and notes on the import what follows. What is not kept is
        rolled back before its outcomes and the import are saved.
        """
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part.first_rows))
            lease = stack.enter_context(self.lease.beating())
            with transaction.atomic():
                job = lease.locked()
                job.in_scope = sum(part.importer.size_of_scope() for part in self.parts)
                book = stack.enter_context(closing(Book(job)))
                for part in self.parts:
                    part.importer.begin()
                    for results in self._results(part, job):
                        self._enter(book, results, part)
                    part.importer.finish()
                kept = conclude(job, book)
                if kept:
                    self._save(job, book)
                else:
                    transaction.set_rollback(True)
            if not kept:
                with transaction.atomic():
                    lease.locked()
                    self._save(job, book)

    def _results(self, part: Part, job: Import) -> Iterator[list[RowResult]]:
        for rows in part.chunks():
            self.lease.stop_if_asked()
            yield part.apply(rows)
        if job.mode == Mode.FULL and part.is_readable:
            yield from part.importer.end_unlisted(part.first_rows.has)

    def _enter(self, book: Book, results: list[RowResult], part: Part) -> None:
        book.enter(results, part.name)
        self.lease.note(book.counts.total())
        self.watch(results)

    def _save(self, job: Import, book: Book) -> None:
        OutcomePage.objects.filter(file_import=job).delete()
        book.write()
        job.counts = dict(book.counts)
        job.ending = book.counts[DROPPED]
        job.rows = book.counts.total()
        job.save()
        self.lease.record(job.rows)

    def by_chunks(self, conclude: Callable[[Import], None]) -> None:
        """Run what is not applied yet, each chunk in a transaction of its own together with the checkpoint."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part.first_rows))
            self._forget_preview()
            done = Import.objects.values_list("checkpoint", flat=True).get(pk=self.lease.import_id)
            passed = 0
            for part in self.parts:
                for rows in part.chunks():
                    if passed + len(rows) <= done:
                        part.skip(rows)
                    else:
                        self._apply_chunk(part, rows)
                    passed += len(rows)
            self._finish(conclude)

    @transaction.atomic
    def _forget_preview(self) -> None:
        """What the preview said of the rows gives way to what becomes of them."""
        job = self.lease.locked()
        if job.checkpoint == 0:
            OutcomePage.objects.filter(file_import=job).delete()
            job.counts = {}
            job.save(update_fields=["counts"])

    def _apply_chunk(self, part: Part, rows: list[Row]) -> None:
        self.watch(self._chunk(part, rows))

    @retried
    @transaction.atomic
    def _chunk(self, part: Part, rows: list[Row]) -> list[RowResult]:
        job = self.lease.locked()
        self.lease.stop_if_asked()
        part.importer.begin()
        results = part.apply(rows)
        self._keep(job, results, part, checkpoint=job.checkpoint + len(rows))
        return results

    def _keep(self, job: Import, results: list[RowResult], part: Part, *, checkpoint: int) -> None:
        with closing(Book(job, position=OutcomePage.objects.filter(file_import=job).count())) as book:
            book.enter(results, part.name)
            book.write()
            for outcome, count in book.counts.items():
                job.counts[outcome] = job.counts.get(outcome, 0) + count
        job.checkpoint = checkpoint
        self.lease.record(checkpoint)
        self.lease.extend(job)
        job.save()

    @retried
    @transaction.atomic
    def _finish(self, conclude: Callable[[Import], None]) -> None:
        """End what a full import's file no longer lists, all of it or nothing, and let the import end."""
        job = self.lease.locked()
        ended = []
        for part in self.parts:
            part.importer.begin()
            if job.mode == Mode.FULL and part.is_readable:
                for results in part.importer.end_unlisted(part.first_rows.has):
                    self._keep(job, results, part, checkpoint=job.checkpoint)
                    ended += results
            part.importer.finish()
        job.ending = job.counts.get(DROPPED, 0)
        job.rows = sum(job.counts.values())
        conclude(job)
        job.save()
        self.watch(ended)
