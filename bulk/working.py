"""Working on an import: what happens between its being received and its end, in a worker or in the command itself."""

from collections import Counter
from contextlib import suppress
from typing import Any, BinaryIO

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.garbage import seldom_searched
from bulk.importing import DROPPED, ERROR
from bulk.kinds import parts_of
from bulk.leases import Cancelled, Lease, Lost, claim
from bulk.models import UNDO, Door, Import, Mode, OnError, Review, State
from bulk.outcomes import Book
from bulk.reading import UnreadableFile
from bulk.running import Run, Watch
from bulk.storage import at_hand
from school.refusals import Refusal, Refused
from school.spoken import in_english

logger = structlog.get_logger(__name__)

MOST_ENDED = 0.10  # of the scope of a full import, without somebody's approval
REVERSED, KEPT = "reversed", "kept"


def unwatched(results: Any) -> None:
    """Watch nothing."""


def work_on(import_id: int, watch: Watch = unwatched) -> bool:
    """
    Take an import as far as it goes: to its end, or to where it waits for somebody.

    Return False where somebody else has it or there is nothing to do. Whatever is wrong with the file is noted on the
    import; what the database gives up over is raised, and leaves the import to whoever works on it next.
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
            _give_up(lease, Refusal(error.code, str(error)))
        except Refused as refused:
            _give_up(lease, *refused.refusals)
        except Cancelled:
            _end(lease, State.CANCELLED)
        except DatabaseError:
            _let_go(lease, for_good=job.door == Door.COMMAND)
            raise
        _log(Import.objects.get(pk=import_id))
    return True


def _work(job: Import, file: BinaryIO, lease: Lease, watch: Watch) -> None:
    parts = parts_of(job, file)
    total = sum(part.importer.source().count() for part in parts)
    Import.objects.filter(pk=job.pk).update(rows=total)
    refusals = [refusal for part in parts for refusal in part.importer.check()]
    if refusals:
        raise Refused(refusals)
    run = Run(lease, parts, watch)
    by_chunks = job.on_error == OnError.SKIP
    # What nobody has to look at, and what is rolled back as a whole where somebody has, is run once.
    is_previewed = job.review != Review.NEEDED or (job.mode == Mode.FULL and by_chunks)
    if job.state == State.VALIDATING and is_previewed:
        run.whole(_conclude_preview)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = Run(lease, parts_of(job, file), unwatched)
    elif job.state == State.VALIDATING:
        _end(lease, State.APPLYING)
    if not by_chunks:
        run.whole(_conclude_all_or_nothing)
        return
    if job.fingerprint and job.checkpoint == 0:
        # Seen, approved, and now to be applied in chunks: whether it still comes out so is asked before the first.
        run.whole(_conclude_check)
        if Import.objects.values_list("state", flat=True).get(pk=job.pk) != State.APPLYING:
            return
        run = Run(lease, parts_of(job, file), watch)
    run.by_chunks(_conclude_chunks)


def _conclude_preview(job: Import, book: Book) -> bool:
    """End a preview: nothing is kept, and what comes next depends on what it has seen."""
    job.fingerprint = book.digest.hexdigest()
    job.ending = book.counts[DROPPED]
    if job.review == Review.DRY_RUN:
        _become(job, State.CANCELLED)
    elif _is_hopeless(job, book.counts) or _hides_rows(job, book):
        _become(job, State.FAILED, _nothing_applied(book.counts))
    elif job.review == Review.ALWAYS or _ends_too_much(job, book.counts):
        _become(job, State.NEEDS_REVIEW)
    else:
        job.state = State.APPLYING
        job.fingerprint = ""
    return False


def _conclude_check(job: Import, book: Book) -> bool:
    """Look, right before the first chunk, whether what was approved is still what comes out."""
    if book.digest.hexdigest() != job.fingerprint:
        _ask_again(job, book)
    return False


def _conclude_all_or_nothing(job: Import, book: Book) -> bool:
    """Keep a run without errors that comes out as it was approved, or ends little enough without an approval."""
    if job.fingerprint and book.digest.hexdigest() != job.fingerprint:
        _ask_again(job, book)
    elif _is_hopeless(job, book.counts):
        _become(job, State.FAILED, _nothing_applied(book.counts))
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
    good = counts.total() - counts[ERROR]
    if job.kind == UNDO:
        _conclude_undo(job, counts)
    if counts[ERROR] and not good:
        _become(job, State.FAILED, _nothing_applied(counts))
    else:
        _become(job, State.DONE_WITH_ERRORS if counts[ERROR] else State.DONE)


def _conclude_undo(job: Import, counts: Counter[str]) -> None:
    """Tell the import that was undone."""
    assert job.undoes_id is not None  # a constraint says so
    undone = Import.objects.select_for_update().get(pk=job.undoes_id)
    if counts[REVERSED] or not counts.total():
        undone.state = State.PARTLY_UNDONE if counts[KEPT] or counts[ERROR] else State.UNDONE
        undone.save(update_fields=["state"])


def _ask_again(job: Import, book: Book) -> None:
    job.fingerprint = book.digest.hexdigest()
    job.approved_by = None
    message = _("What would come out has changed since it was looked at. Look again.")
    _become(job, State.NEEDS_REVIEW, Refusal("changed_since_preview", message))


def _is_hopeless(job: Import, counts: Counter[str]) -> bool:
    """Tell whether nothing can be applied: for one bad row, or because there is no good one."""
    return bool(counts[ERROR]) and (job.on_error == OnError.ABORT or counts[ERROR] == counts.total())


def _hides_rows(job: Import, book: Book) -> bool:
    """Tell whether a full import has a row that cannot be read: what it lists would be ended."""
    return job.mode == Mode.FULL and book.codes["ragged_row"] > 0


def _ends_too_much(job: Import, counts: Counter[str]) -> bool:
    return job.mode == Mode.FULL and counts[DROPPED] > MOST_ENDED * job.in_scope


def _nothing_applied(counts: Counter[str]) -> Refusal:
    message = _("%(errors)s of %(rows)s rows have errors: nothing was applied.")
    return Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": counts.total()})


def _become(job: Import, state: State, *why: Refusal) -> None:
    """Change an import that is locked, to be saved by the caller."""
    assert job.may_become(state), (job.state, state)  # the table of transitions is the contract
    job.state = state
    job.problems = [{"code": refusal.code, "field": refusal.field, "message": refusal.message} for refusal in why]
    if state not in (State.APPLYING, State.NEEDS_REVIEW):
        job.finished_at = timezone.now()


@transaction.atomic
def _end(lease: Lease, state: State, *why: Refusal) -> None:
    job = lease.locked()
    _become(job, state, *why)
    lease.extend(job)
    job.save()


def _give_up(lease: Lease, *why: Refusal) -> None:
    _end(lease, State.FAILED, *why)


@transaction.atomic
def _let_go(lease: Lease, *, for_good: bool) -> None:
    """Leave the import to whoever comes next; one of the command line that has kept nothing is given up."""
    with suppress(Lost, DatabaseError):
        job = lease.locked()
        if for_good and job.checkpoint == 0:
            _become(job, State.FAILED, Refusal("interrupted", _("The database gave up. Nothing was applied.")))
        job.leased_until = timezone.now()
        job.save()


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
