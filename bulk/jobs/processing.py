"""Processes a submitted import until it ends or waits for approval, in a worker or in the command itself."""

from collections import Counter
from contextlib import suppress
from typing import Any, BinaryIO

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone

from bulk.file_store import local_copy
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.registry import parts_of, unapplied_file_warnings
from bulk.jobs.garbage_collection import infrequent_collection
from bulk.jobs.leases import MAX_ATTEMPTS, Cancelled, Lease, LeaseLost, claim, interruption_problem, is_own_lease
from bulk.jobs.runner import ImportRun, ResultCallback
from bulk.models import PROCESSING_STATES, UNDO, Import, Mode, OnError, Review, State
from bulk.outcomes import DROPPED, ERROR, KEPT, KEPT_OUTCOMES, REVERSED
from bulk.row_results import ResultWriter
from school.i18n.stored_messages import in_english
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal, Refused

logger = structlog.get_logger(__name__)

MAX_DROPPED_SHARE = 0.10  # the share of the scope that a full import may end without approval


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
        run.run_in_one_transaction(_finalize_preview, may_commit=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = ImportRun(lease, parts_of(job, file), ignore_results)
    elif job.state == State.VALIDATING:
        _end_import(lease, State.APPLYING)
    if not in_chunks:
        run.run_in_one_transaction(_finalize_all_or_nothing, may_commit=True)
        return
    if job.fingerprint and job.checkpoint == 0:
        # An approved import is applied in chunks. Before the first chunk, check that the outcomes are still the
        # approved ones.
        ImportRun(lease, parts, ignore_results).run_in_one_transaction(_finalize_check, may_commit=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = ImportRun(lease, parts_of(job, file), on_results)
    run.run_in_chunks(_finalize_chunks)


def _finalize_preview(job: Import, writer: ResultWriter) -> bool:
    """End a preview: nothing is committed, and the outcomes decide the next state."""
    job.fingerprint = writer.digest.hexdigest()
    job.ending = writer.counts[DROPPED]
    if job.review == Review.DRY_RUN:
        _set_state(job, State.CANCELLED, *_dry_run_problems(job, writer.counts))
    elif _cannot_apply(job, writer.counts):
        _set_state(job, State.FAILED, _nothing_applied_refusal(job, writer.counts))
    elif job.review == Review.ALWAYS or _drops_too_many(job, writer.counts):
        _set_state(job, State.NEEDS_REVIEW)
    else:
        job.state = State.APPLYING
        job.fingerprint = ""
    return False


def _finalize_check(job: Import, writer: ResultWriter) -> bool:
    """
    Check, right before the first chunk, whether the outcomes are still the approved ones; else ask for approval again.
    """
    if writer.digest.hexdigest() != job.fingerprint:
        _require_new_approval(job, writer)
    return False


def _finalize_all_or_nothing(job: Import, writer: ResultWriter) -> bool:
    """
    Return True if the run is to be committed: it has no errors, and its outcomes are the approved ones or need no
    approval.
    """
    if job.fingerprint and writer.digest.hexdigest() != job.fingerprint:
        _require_new_approval(job, writer)
    elif _cannot_apply(job, writer.counts):
        _set_state(job, State.FAILED, _nothing_applied_refusal(job, writer.counts))
    elif job.approved_by_id is None and not job.fingerprint and _drops_too_many(job, writer.counts):
        job.fingerprint = writer.digest.hexdigest()
        _set_state(job, State.NEEDS_REVIEW)
    else:
        job.checkpoint = writer.counts.total()
        _set_state(job, State.DONE)
        return True
    return False


def _finalize_chunks(job: Import) -> None:
    counts = Counter(job.counts)
    if job.kind == UNDO:
        _finalize_undo(job, counts)
    if _cannot_apply(job, counts):
        job.checkpoint = 0  # set to false, because there is nothing to undo
        _set_state(job, State.FAILED, _nothing_applied_refusal(job, counts))
    else:
        _set_state(job, State.DONE_WITH_ERRORS if counts[ERROR] else State.DONE)


def _finalize_undo(job: Import, counts: Counter[str]) -> None:
    """Set the state of the import that was undone."""
    assert job.undoes_id is not None  # a database constraint requires it for every undo
    original = Import.objects.select_for_update().get(pk=job.undoes_id)
    if counts[REVERSED] or not counts.total():
        original.state = State.PARTLY_UNDONE if counts[KEPT] or counts[ERROR] else State.UNDONE
        original.save(update_fields=["state"])


def _require_new_approval(job: Import, writer: ResultWriter) -> None:
    job.fingerprint = writer.digest.hexdigest()
    job.approved_by = None
    message = _("The result has changed since the preview. Review the new preview.")
    _set_state(job, State.NEEDS_REVIEW, Refusal("changed_since_preview", message))


def _cannot_apply(job: Import, counts: Counter[str]) -> bool:
    """Return True if nothing can be applied: there are errors, and ``on_error`` is abort or no row is good."""
    good = counts.total() - counts[ERROR] - sum(counts[outcome] for outcome in KEPT_OUTCOMES)
    return bool(counts[ERROR]) and (job.on_error == OnError.ABORT or not good)


def _drops_too_many(job: Import, counts: Counter[str]) -> bool:
    return job.mode == Mode.FULL and counts[DROPPED] > MAX_DROPPED_SHARE * job.in_scope


def _dry_run_problems(job: Import, counts: Counter[str]) -> list[Refusal]:
    """Return the reasons why the real run of a dry run would not be applied, or not without approval."""
    if _cannot_apply(job, counts):
        message = _("%(errors)s of %(rows)s rows have errors. Nothing would be applied.")
        return [Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})]
    if _drops_too_many(job, counts):
        message = _(
            "%(ending)s of the %(in_scope)s enrollments in the scope would end. The import would need approval."
        )
        return [Refusal("approval_needed", message % {"ending": counts[DROPPED], "in_scope": job.in_scope})]
    return []


def _nothing_applied_refusal(job: Import, counts: Counter[str]) -> Refusal:
    message = _("%(errors)s of %(rows)s rows have errors. Nothing was applied.")
    return Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})


def _set_state(job: Import, state: State, *problems: Refusal) -> None:
    """Set the state of a locked import, which the caller saves. The reasons are added before its earlier problems."""
    assert job.can_transition_to(state), (job.state, state)  # ``TRANSITIONS`` has all allowed changes
    job.state = state
    job.problems = [*(refusal.as_stored() for refusal in problems), *job.problems]
    if state not in (State.APPLYING, State.NEEDS_REVIEW):
        job.finished_at = timezone.now()


@transaction.atomic
def _end_import(lease: Lease, state: State, *problems: Refusal) -> None:
    job = lease.lock_import()
    _set_state(job, state, *problems)
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
            _set_state(job, State.CANCELLED)
        job.leased_until = timezone.now()
        job.save()


def _fail(job: Import, error: Exception) -> None:
    _set_state(job, State.FAILED)
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
