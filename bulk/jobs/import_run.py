"""
Runs an import in one transaction, or chunk by chunk with a checkpoint.

The process that runs an import locks the import's row in every transaction, so that no other process can run it. If
the process is killed, the database releases the lock and discards the uncommitted work. A preview is the real run,
rolled back at the end; on SQLite it runs on a temporary copy of the database, because its transaction would hold the
only write lock.

A full import first reads its file and drops unlisted objects, so that the rows can use the seats that become free.
After the last row, the remaining seats go to students on the waitlist.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext

from django.db import transaction

from bulk.files.csv_reader import Row
from bulk.importers.import_parts import ImportPart
from bulk.jobs.leases import Cancelled, Lease
from bulk.models import Import, Mode, OutcomePage
from bulk.row_result_store import ResultWriter
from bulk.row_results import RowResult, count_ended
from school.db.retry import retry_transaction
from school.db.sqlite.temporary_copy import temporary_copy

ResultCallback = Callable[[Sequence[RowResult]], None]


class ImportRun:
    """A run of an import's parts under a lease."""

    def __init__(self, lease: Lease, parts: list[ImportPart], on_results: ResultCallback) -> None:
        self.lease = lease
        self.parts = parts
        self.on_results = on_results

    def run_in_one_transaction(self, finalize: Callable[[Import, ResultWriter], bool], *, may_commit: bool) -> None:
        """
        Run the whole import in one transaction.

        At the end ``finalize`` sets the next state of the import, and returns True if the run is to be committed.
        Otherwise the run is rolled back, and then its outcomes and the import are saved. ``may_commit`` is False if
        ``finalize`` never returns True.
        """
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part))
            with nullcontext() if may_commit else temporary_copy(), self.lease.heartbeat(), transaction.atomic():
                job = self.lease.lock_import()
                job.in_scope = sum(part.importer.scope_size() for part in self.parts)
                writer = stack.enter_context(closing(ResultWriter(job)))
                for part in self.parts:
                    for results in self._run_part(part, job):
                        self._add_results(writer, results, part)
                    part.importer.finish()
                self._set_notices(job)
                is_committed = finalize(job, writer)
                if is_committed:
                    self._save_results(job, writer)
                else:
                    transaction.set_rollback(True)
            if not is_committed:
                with transaction.atomic():
                    self.lease.lock_import()
                    self._save_results(job, writer)

    def _run_part(self, part: ImportPart, job: Import) -> Iterator[list[RowResult]]:
        if job.mode == Mode.FULL:
            part.importer.begin_transaction()
            for rows in part.chunks():
                self.lease.check_cancelled()
                part.importer.record_listed(rows)
            yield from part.importer.drop_unlisted()
        part.importer.begin_transaction()
        for rows in part.chunks():
            self.lease.check_cancelled()
            yield part.apply(rows)

    def _set_notices(self, job: Import) -> None:
        job.problems = [notice.as_stored() for part in self.parts for notice in part.importer.notices()]

    def _add_results(self, writer: ResultWriter, results: list[RowResult], part: ImportPart) -> None:
        writer.add(results, part.name)
        self.lease.set_progress(writer.rows)
        self.on_results(results)

    def _save_results(self, job: Import, writer: ResultWriter) -> None:
        OutcomePage.objects.filter(file_import=job).delete()
        writer.write()
        job.counts = dict(writer.counts)
        job.ending = count_ended(writer.counts)
        self.lease.renew(job)
        job.save()
        self.lease.save_progress(writer.rows)
        self.lease.check_cancelled()  # after this, ``cancel`` waits for the commit, and then sees the new state

    def run_in_chunks(self, finalize: Callable[[Import], None]) -> None:
        """Apply the rows that are not applied yet, each chunk in its own transaction together with the checkpoint."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(closing(part))
            self._delete_preview()
            try:
                self._drop_unlisted()
                self._apply_rows()
            except Cancelled:
                self._finish_parts()
                raise
            self._finish(finalize)

    def _apply_rows(self) -> None:
        job = Import.objects.get(pk=self.lease.import_id)
        applied, seen_rows = job.checkpoint - (job.unlisted or 0), 0
        for part in self.parts:
            for rows in part.chunks():
                if seen_rows + len(rows) <= applied:
                    self.lease.keep()
                    part.skip(rows)
                else:
                    self._apply_chunk(part, rows)
                seen_rows += len(rows)

    @transaction.atomic
    def _delete_preview(self) -> None:
        """Delete the outcomes of the preview before the first results are committed."""
        job = self.lease.lock_import()
        if job.checkpoint == 0 and job.unlisted is None:
            OutcomePage.objects.filter(file_import=job).delete()
            job.counts, job.problems = {}, []
            job.save(update_fields=["counts", "problems"])

    def _drop_unlisted(self) -> None:
        """Drop the objects that a full import has to drop: all of them in one transaction, and only once."""
        job = Import.objects.get(pk=self.lease.import_id)
        if job.mode != Mode.FULL or job.unlisted is not None:
            return
        for part in self.parts:
            part.importer.begin_transaction()
            for rows in part.chunks():
                self.lease.keep()
                part.importer.record_listed(rows)
        self.on_results(self._drop_unlisted_rows())

    @retry_transaction
    @transaction.atomic
    def _drop_unlisted_rows(self) -> list[RowResult]:
        job = self.lease.lock_import()
        job.unlisted, failed = 0, []
        for part in self.parts:
            for results in part.importer.drop_unlisted():
                job.unlisted += len(results)
                self._save_chunk(job, results, part, checkpoint=job.checkpoint + len(results))
                failed += [result for result in results if result.errors]
        self._set_notices(job)
        job.save()
        return failed

    def _apply_chunk(self, part: ImportPart, rows: list[Row]) -> None:
        self.on_results(self._apply_chunk_rows(part, rows))

    @retry_transaction
    @transaction.atomic
    def _apply_chunk_rows(self, part: ImportPart, rows: list[Row]) -> list[RowResult]:
        job = self.lease.lock_import()
        self.lease.check_cancelled()
        part.importer.begin_transaction()
        results = part.apply(rows)
        self._save_chunk(job, results, part, checkpoint=job.checkpoint + len(rows))
        return results

    def _save_chunk(self, job: Import, results: list[RowResult], part: ImportPart, *, checkpoint: int) -> None:
        with closing(ResultWriter(job, position=OutcomePage.objects.filter(file_import=job).count())) as writer:
            writer.add(results, part.name)
            writer.write()
            for outcome, count in writer.counts.items():
                job.counts[outcome] = job.counts.get(outcome, 0) + count
        job.checkpoint = checkpoint
        self.lease.save_progress(checkpoint - (job.unlisted or 0))
        self.lease.extend(job)
        job.save()

    @retry_transaction
    @transaction.atomic
    def _finish(self, finalize: Callable[[Import], None]) -> None:
        """Complete the import and set its final state."""
        job = self.lease.lock_import()
        self.lease.save_progress(job.checkpoint - (job.unlisted or 0))
        self.lease.check_cancelled()  # after this, ``cancel`` waits for the commit, and then sees the new state
        self._finish_parts()
        job.ending = count_ended(job.counts)
        finalize(job)
        job.save()

    @retry_transaction
    @transaction.atomic
    def _finish_parts(self) -> None:
        self.lease.lock_import()
        for part in self.parts:
            part.importer.begin_transaction()
            part.importer.finish()
