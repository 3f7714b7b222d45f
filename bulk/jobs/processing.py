"""Processes a submitted import until it ends or waits for approval, in a worker or in the command itself."""

from contextlib import suppress
from typing import Any, BinaryIO

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone

from bulk.files.csv_reader import UnreadableFile
from bulk.import_file_store import local_copy
from bulk.importers.import_parts import parts_of, unapplied_file_warnings
from bulk.jobs.end_states import (
    finalize_all_or_nothing,
    finalize_check,
    finalize_chunks,
    finalize_preview,
    set_state,
)
from bulk.jobs.gc_tuning import infrequent_collection
from bulk.jobs.import_run import ImportRun, ResultCallback
from bulk.jobs.interruption_problem import interruption_problem
from bulk.jobs.leases import MAX_ATTEMPTS, Cancelled, Lease, LeaseLost, claim, is_own_lease
from bulk.models import PROCESSING_STATES, ZIP, Import, Mode, OnError, Review, State
from bulk.roster_zips.checks import check_roster_zip
from school.i18n.stored_messages import in_english
from school.refusals import Refusal, Refused

logger = structlog.get_logger(__name__)


def ignore_results(results: Any) -> None:
    """Ignore the results. This is the default of ``on_results``."""


def process_import(
    import_id: int, on_results: ResultCallback = ignore_results, *, is_last_attempt: bool = False
) -> bool:
    """
    Work on an import until it ends or waits for approval.

    ``on_results`` is called with results, chunk by chunk. Return False if another process works on the import or there
    is nothing to do. Errors in the file are saved on the import. Any other error is raised: the import stays for the
    next attempt, or has failed after the last one.
    """
    lease = claim(import_id)
    if lease is None:
        return False
    job = Import.objects.get(pk=import_id)
    with (
        structlog.contextvars.bound_contextvars(request_id=job.request_id),
        suppress(LeaseLost),
        infrequent_collection(),
        in_english(),
    ):
        try:
            with local_copy(job) as file:
                _process(job, file, lease, on_results)
        except UnreadableFile as error:
            _fail_import(lease, Refusal(error.code, error.message))
        except Refused as refused:
            _fail_import(lease, *refused.refusals)
        except Cancelled:
            _end_import(lease, State.CANCELLED)
        except Exception as error:
            _record_interruption(lease, error, is_last_attempt=is_last_attempt)
            raise
        _log_result(Import.objects.get(pk=import_id))
    return True


def _process(job: Import, file: BinaryIO, lease: Lease, on_results: ResultCallback) -> None:
    if job.kind == ZIP and job.state == State.VALIDATING:  # later the same file is processed
        check_roster_zip(file, job.size, lease.keep)
    parts = parts_of(job, file)
    sources = [part.importer.source() for part in parts]
    total = sum(source.count() for source in sources)
    for part in parts:
        part.importer.check_lookup_files()
    warnings = [warning for source in sources for warning in source.warnings] + unapplied_file_warnings(
        job, parts, file
    )
    Import.objects.filter(pk=job.pk).update(rows=total, warnings=[warning.as_stored() for warning in warnings])
    refusals = [refusal for part in parts for refusal in part.importer.check()]
    if refusals:
        raise Refused(refusals)
    run = ImportRun(lease, parts, on_results)
    in_chunks = job.on_error == OnError.SKIP
    # There is no preview if the import needs no approval, or if the whole import can be rolled back when it turns out
    # to need one.
    is_previewed = job.review != Review.NEEDED or (job.mode == Mode.FULL and in_chunks)
    if job.state == State.VALIDATING and is_previewed:
        run.run_in_one_transaction(finalize_preview, may_commit=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = ImportRun(lease, parts_of(job, file), ignore_results)
    elif job.state == State.VALIDATING:
        _end_import(lease, State.APPLYING)
    if not in_chunks:
        run.run_in_one_transaction(finalize_all_or_nothing, may_commit=True)
        return
    if job.fingerprint and job.checkpoint == 0:
        # An approved import is applied in chunks. Before the first chunk, check that the outcomes are still the
        # approved ones.
        ImportRun(lease, parts, ignore_results).run_in_one_transaction(finalize_check, may_commit=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = ImportRun(lease, parts_of(job, file), on_results)
    run.run_in_chunks(finalize_chunks)


@transaction.atomic
def _end_import(lease: Lease, state: State, *problems: Refusal) -> None:
    job = lease.lock_import()
    set_state(job, state, *problems)
    lease.renew(job)
    job.save()


def _fail_import(lease: Lease, *problems: Refusal) -> None:
    _end_import(lease, State.FAILED, *problems)


def _record_interruption(lease: Lease, error: Exception, *, is_last_attempt: bool) -> None:
    """
    Record that an error has ended an attempt: the import is free for the next attempt, or fails after the last one.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()  # the connection may be closed because of the error
    # If the database does not answer, nothing is recorded, and the lease expires by itself.
    with suppress(LeaseLost, Error), transaction.atomic():
        job = lease.lock_import()
        if is_last_attempt or job.attempts >= MAX_ATTEMPTS:
            _fail(job, error)
        job.leased_until = timezone.now()
        job.save()


def end_own_import(import_id: int, error: Exception | None = None) -> None:
    """End an import that this process has stopped working on: failed if there is an ``error``, else cancelled."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    with suppress(Error), transaction.atomic():
        job = Import.objects.select_for_update().filter(pk=import_id, state__in=PROCESSING_STATES).first()
        if job is None or not is_own_lease(job):
            return
        if error:
            _fail(job, error)
        else:
            set_state(job, State.CANCELLED)
        job.leased_until = timezone.now()
        job.save()


def _fail(job: Import, error: Exception) -> None:
    set_state(job, State.FAILED)
    job.problems = [interruption_problem(job, error)]


def _log_result(job: Import) -> None:
    logger.info(
        "import_finished",
        import_id=job.pk,
        kind=job.kind,
        channel="import",
        state=job.state,
        dry_run=job.review == Review.DRY_RUN,
        applied=job.checkpoint > 0,
        **{f"rows_{outcome}": count for outcome, count in job.counts.items()},
    )
