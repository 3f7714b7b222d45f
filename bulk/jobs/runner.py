"""
Runs an import in one transaction, or chunk by chunk with a checkpoint.

The process that runs an import locks the import's row in every transaction, so that no other process can run it. If the
process is killed, the database releases the lock and discards the uncommitted work. A preview is the real run, rolled
back at the end; on SQLite it runs on a private copy of the database, because its transaction would hold the only write
lock.

A full import surveys its file first and ends what it has to end, so that the rows can use the seats that become free.
After the last row, the remaining seats go to students on the waitlist.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext

from django.db import transaction
from django.utils import timezone

from bulk.files.csv_reader import Row
from bulk.importers.part import Part
from bulk.jobs.leases import LEASE, Cancelled, Lease
from bulk.models import Import, Mode, OutcomePage
from bulk.outcomes import DROPPED, RowResult
from bulk.row_results import Book
from school.db.retry import retry_transaction
from school.db.sqlite.private_copy import private_copy

Watch = Callable[[Sequence[RowResult]], None]


class Run:
    """A run of an import's parts under a lease."""

    def __init__(self, lease: Lease, parts: list[Part], watch: Watch) -> None:
        self.lease = lease
        self.parts = parts
        self.watch = watch

    def whole(self, conclude: Callable[[Import, Book], bool], *, may_keep: bool) -> None:
        """
        Run the whole import in one transaction.

        At the end ``conclude`` sets the next state of the import, and returns True to commit the run. Otherwise the run
        is rolled back before its outcomes and the import are saved. ``may_keep`` is False if ``conclude`` never returns
        True.
        """
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part))
            with nullcontext() if may_keep else private_copy(), self.lease.beating(), transaction.atomic():
                job = self.lease.locked()
                job.in_scope = sum(part.importer.size_of_scope() for part in self.parts)
                book = stack.enter_context(closing(Book(job)))
                for part in self.parts:
                    for results in self._results(part, job):
                        self._enter(book, results, part)
                    part.importer.finish()
                self._note_problems(job)
                kept = conclude(job, book)
                if kept:
                    self._save(job, book)
                else:
                    transaction.set_rollback(True)
            if not kept:
                with transaction.atomic():
                    self.lease.locked()
                    self._save(job, book)

    def _results(self, part: Part, job: Import) -> Iterator[list[RowResult]]:
        if job.mode == Mode.FULL:
            part.importer.begin()
            for rows in part.chunks():
                self.lease.stop_if_asked()
                part.importer.survey(rows)
            yield from part.importer.end_unlisted()
        part.importer.begin()
        for rows in part.chunks():
            self.lease.stop_if_asked()
            yield part.apply(rows)

    def _note_problems(self, job: Import) -> None:
        job.problems = [notice.as_stored() for part in self.parts for notice in part.importer.notices()]

    def _enter(self, book: Book, results: list[RowResult], part: Part) -> None:
        book.enter(results, part.name)
        self.lease.note(book.rows)
        self.watch(results)

    def _save(self, job: Import, book: Book) -> None:
        OutcomePage.objects.filter(file_import=job).delete()
        book.write()
        job.counts = dict(book.counts)
        job.ending = book.counts[DROPPED]
        self.lease.renew(job)
        job.save()
        self.lease.record(book.rows)
        self.lease.stop_if_asked()  # from here ``cancel`` waits for the commit, then sees the new state

    def by_chunks(self, conclude: Callable[[Import], None]) -> None:
        """Apply the rows that are not applied yet, each chunk in its own transaction together with the checkpoint."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part))
            self._forget_preview()
            try:
                self._end_unlisted()
                self._apply_rows()
            except Cancelled:
                self._finish_parts()
                raise
            self._finish(conclude)

    def _apply_rows(self) -> None:
        job = Import.objects.get(pk=self.lease.import_id)
        done, passed = job.checkpoint - (job.unlisted or 0), 0
        for part in self.parts:
            for rows in part.chunks():
                if passed + len(rows) <= done:
                    self._stay()
                    part.skip(rows)
                else:
                    self._apply_chunk(part, rows)
                passed += len(rows)

    @transaction.atomic
    def _forget_preview(self) -> None:
        """Delete the outcomes of the preview before the first results are committed."""
        job = self.lease.locked()
        if job.checkpoint == 0 and job.unlisted is None:
            OutcomePage.objects.filter(file_import=job).delete()
            job.counts, job.problems = {}, []
            job.save(update_fields=["counts", "problems"])

    def _end_unlisted(self) -> None:
        """End the objects that a full import has to end: all of them in one transaction, and only once."""
        job = Import.objects.get(pk=self.lease.import_id)
        if job.mode != Mode.FULL or job.unlisted is not None:
            return
        for part in self.parts:
            part.importer.begin()
            for rows in part.chunks():
                self._stay()
                part.importer.survey(rows)
        self.watch(self._end_surveyed())

    @retry_transaction
    @transaction.atomic
    def _end_surveyed(self) -> list[RowResult]:
        job = self.lease.locked()
        job.unlisted, failed = 0, []
        for part in self.parts:
            for results in part.importer.end_unlisted():
                job.unlisted += len(results)
                self._keep(job, results, part, checkpoint=job.checkpoint + len(results))
                failed += [result for result in results if result.errors]
        self._note_problems(job)
        job.save()
        return failed

    @retry_transaction
    @transaction.atomic
    def _stay(self) -> None:
        """Renew the lease while no results are committed; raise ``Lost`` or ``Cancelled``."""
        job = self.lease.locked()
        self.lease.stop_if_asked()
        job.leased_until = timezone.now() + LEASE
        job.save(update_fields=["leased_until"])

    def _apply_chunk(self, part: Part, rows: list[Row]) -> None:
        self.watch(self._chunk(part, rows))

    @retry_transaction
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
        self.lease.record(checkpoint - (job.unlisted or 0))
        self.lease.extend(job)
        job.save()

    @retry_transaction
    @transaction.atomic
    def _finish(self, conclude: Callable[[Import], None]) -> None:
        """Complete the import and set its final state."""
        job = self.lease.locked()
        self.lease.record(job.checkpoint - (job.unlisted or 0))
        self.lease.stop_if_asked()  # from here ``cancel`` waits for the commit, then sees the new state
        self._finish_parts()
        job.ending = job.counts.get(DROPPED, 0)
        conclude(job)
        job.save()

    @retry_transaction
    @transaction.atomic
    def _finish_parts(self) -> None:
        self.lease.locked()
        for part in self.parts:
            part.importer.begin()
            part.importer.finish()
