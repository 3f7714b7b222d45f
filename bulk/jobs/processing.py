"""Processes a received import until it ends or waits for approval, in a worker or in the command itself."""

from collections import Counter
from contextlib import suppress
from typing import Any, BinaryIO

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone

from bulk.file_store import at_hand
from bulk.files.csv_reader import UnreadableFile
from bulk.importers.registry import files_not_applied, parts_of
from bulk.jobs.garbage_collection import seldom_searched
from bulk.jobs.leases import MOST_ATTEMPTS, Cancelled, Lease, Lost, claim, interruption, is_own
from bulk.jobs.runner import Run, Watch
from bulk.models import AT_WORK, UNDO, Import, Mode, OnError, Review, State
from bulk.outcomes import DROPPED, ERROR, LEFT_OPEN
from bulk.row_results import Book
from school.i18n.stored_messages import in_english
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal, Refused

logger = structlog.get_logger(__name__)

MOST_ENDED = 0.10  # share of the scope that a full import may end without approval
REVERSED, KEPT = "reversed", "kept"


def unwatched(results: Any) -> None:
    """Ignore the results: the default of ``watch``."""


def work_on(import_id: int, watch: Watch = unwatched, *, is_last_attempt: bool = False) -> bool:
    """
    Work on an import until it ends or waits for approval.

    ``watch`` is called with results, chunk by chunk. Return False if another process works on the import or there is
    nothing to do. Errors in the file are saved on the import. Any other error is raised: the import stays for the next
    attempt, or has failed after the last one.
    """
    lease = claim(import_id)
    if lease is None:
        return False
    job = Import.objects.get(pk=import_id)
    with (
        structlog.contextvars.bound_contextvars(request_id=job.request_id),
        suppress(Lost),
        seldom_searched(),
        in_english(),
    ):
        try:
            with at_hand(job) as file:
                _work(job, file, lease, watch)
        except UnreadableFile as error:
            _give_up(lease, Refusal(error.code, error.message))
        except Refused as refused:
            _give_up(lease, *refused.refusals)
        except Cancelled:
            _end(lease, State.CANCELLED)
        except Exception as error:
            _interrupt(lease, error, is_last_attempt=is_last_attempt)
            raise
        _log(Import.objects.get(pk=import_id))
    return True


def _work(job: Import, file: BinaryIO, lease: Lease, watch: Watch) -> None:
    parts = parts_of(job, file)
    sources = [part.importer.source() for part in parts]
    total = sum(source.count() for source in sources)
    for part in parts:
        part.importer.check_looked_up()
    warnings = [warning for source in sources for warning in source.warnings] + files_not_applied(job, parts, file)
    Import.objects.filter(pk=job.pk).update(rows=total, warnings=[warning.as_stored() for warning in warnings])
    refusals = [refusal for part in parts for refusal in part.importer.check()]
    if refusals:
        raise Refused(refusals)
    run = Run(lease, parts, watch)
    by_chunks = job.on_error == OnError.SKIP
    # An import that needs no approval, or that is rolled back as a whole if it needs one, is run without a preview.
    is_previewed = job.review != Review.NEEDED or (job.mode == Mode.FULL and by_chunks)
    if job.state == State.VALIDATING and is_previewed:
        run.whole(_conclude_preview, may_keep=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = Run(lease, parts_of(job, file), unwatched)
    elif job.state == State.VALIDATING:
        _end(lease, State.APPLYING)
    if not by_chunks:
        run.whole(_conclude_all_or_nothing, may_keep=True)
        return
    if job.fingerprint and job.checkpoint == 0:
        # Approved, and applied in chunks: check before the first chunk that the outcomes are still the approved ones.
        Run(lease, parts, unwatched).whole(_conclude_check, may_keep=False)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = Run(lease, parts_of(job, file), watch)
    run.by_chunks(_conclude_chunks)


def _conclude_preview(job: Import, book: Book) -> bool:
    """End a preview: nothing is committed, and the outcomes decide the next state."""
    job.fingerprint = book.digest.hexdigest()
    job.ending = book.counts[DROPPED]
    if job.review == Review.DRY_RUN:
        _become(job, State.CANCELLED, *_obstacles(job, book.counts))
    elif _is_hopeless(job, book.counts):
        _become(job, State.FAILED, _nothing_applied(job, book.counts))
    elif job.review == Review.ALWAYS or _ends_too_much(job, book.counts):
        _become(job, State.NEEDS_REVIEW)
    else:
        job.state = State.APPLYING
        job.fingerprint = ""
    return False


def _conclude_check(job: Import, book: Book) -> bool:
    """
    Check, right before the first chunk, whether the outcomes are still the approved ones; else ask for approval again.
    """
    if book.digest.hexdigest() != job.fingerprint:
        _ask_again(job, book)
    return False


def _conclude_all_or_nothing(job: Import, book: Book) -> bool:
    """Return True to commit a run without errors whose outcomes are as approved, or which needs no approval."""
    if job.fingerprint and book.digest.hexdigest() != job.fingerprint:
        _ask_again(job, book)
    elif _is_hopeless(job, book.counts):
        _become(job, State.FAILED, _nothing_applied(job, book.counts))
    elif job.approved_by_id is None and not job.fingerprint and _ends_too_much(job, book.counts):
        job.fingerprint = book.digest.hexdigest()
        _become(job, State.NEEDS_REVIEW)
    else:
        job.checkpoint = book.counts.total()
        _become(job, State.DONE)
        return True
    return False


def _conclude_chunks(job: Import) -> None:
    counts = Counter(job.counts)
    if job.kind == UNDO:
        _conclude_undo(job, counts)
    if _is_hopeless(job, counts):
        job.checkpoint = 0  # there is nothing to undo
        _become(job, State.FAILED, _nothing_applied(job, counts))
    else:
        _become(job, State.DONE_WITH_ERRORS if counts[ERROR] else State.DONE)


def _conclude_undo(job: Import, counts: Counter[str]) -> None:
    """Set the state of the import that was undone."""
    assert job.undoes_id is not None  # a database constraint ensures it
    undone = Import.objects.select_for_update().get(pk=job.undoes_id)
    if counts[REVERSED] or not counts.total():
        undone.state = State.PARTLY_UNDONE if counts[KEPT] or counts[ERROR] else State.UNDONE
        undone.save(update_fields=["state"])


def _ask_again(job: Import, book: Book) -> None:
    job.fingerprint = book.digest.hexdigest()
    job.approved_by = None
    message = _("The result has changed since the preview. Review the new preview.")
    _become(job, State.NEEDS_REVIEW, Refusal("changed_since_preview", message))


def _is_hopeless(job: Import, counts: Counter[str]) -> bool:
    """Return True if nothing can be applied: there are errors, and ``on_error`` is abort or no row is good."""
    good = counts.total() - counts[ERROR] - sum(counts[outcome] for outcome in LEFT_OPEN)
    return bool(counts[ERROR]) and (job.on_error == OnError.ABORT or not good)


def _ends_too_much(job: Import, counts: Counter[str]) -> bool:
    return job.mode == Mode.FULL and counts[DROPPED] > MOST_ENDED * job.in_scope


def _obstacles(job: Import, counts: Counter[str]) -> list[Refusal]:
    """Return the reasons why the real run of a dry run would not be applied, or not without approval."""
    if _is_hopeless(job, counts):
        message = _("%(errors)s of %(rows)s rows have errors. Nothing would be applied.")
        return [Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})]
    if _ends_too_much(job, counts):
        message = _(
            "%(ending)s of the %(in_scope)s enrollments in the scope would end. The import would need approval."
        )
        return [Refusal("approval_needed", message % {"ending": counts[DROPPED], "in_scope": job.in_scope})]
    return []


def _nothing_applied(job: Import, counts: Counter[str]) -> Refusal:
    message = _("%(errors)s of %(rows)s rows have errors. Nothing was applied.")
    return Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})


def _become(job: Import, state: State, *why: Refusal) -> None:
    """Set the state of a locked import, which the caller saves. The reasons are added before its earlier problems."""
    assert job.may_become(state), (job.state, state)  # ``TRANSITIONS`` has all allowed changes
    job.state = state
    job.problems = [*(refusal.as_stored() for refusal in why), *job.problems]
    if state not in (State.APPLYING, State.NEEDS_REVIEW):
        job.finished_at = timezone.now()


@transaction.atomic
def _end(lease: Lease, state: State, *why: Refusal) -> None:
    job = lease.locked()
    _become(job, state, *why)
    lease.renew(job)
    job.save()


def _give_up(lease: Lease, *why: Refusal) -> None:
    _end(lease, State.FAILED, *why)


def _interrupt(lease: Lease, error: Exception, *, is_last_attempt: bool) -> None:
    """
    Record that an error has ended an attempt: the import is free for the next attempt, or fails after the last one.
    """
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()  # the error may be a closed connection
    # If the database does not answer, nothing is recorded, and the lease expires by itself.
    with suppress(Lost, Error), transaction.atomic():
        job = lease.locked()
        if is_last_attempt or job.attempts >= MOST_ATTEMPTS:
            _fail(job, error)
        job.leased_until = timezone.now()
        job.save()


def end_own(import_id: int, error: Exception | None = None) -> None:
    """End an import that this process has stopped working on: failed if there is an ``error``, else cancelled."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    with suppress(Error), transaction.atomic():
        job = Import.objects.select_for_update().filter(pk=import_id, state__in=AT_WORK).first()
        if job is None or not is_own(job):
            return
        if error:
            _fail(job, error)
        else:
            _become(job, State.CANCELLED)
        job.leased_until = timezone.now()
        job.save()


def _fail(job: Import, error: Exception) -> None:
    _become(job, State.FAILED)
    job.problems = [interruption(job, error)]


def _log(job: Import) -> None:
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
