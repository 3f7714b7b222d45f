"""The state in which a run leaves its import: applied, failed, or waiting for approval."""

from collections import Counter

from django.utils import timezone

from bulk.models import UNDO, Import, Mode, OnError, Review, State
from bulk.row_result_store import ResultWriter
from bulk.row_results import ERROR, KEPT, KEPT_OUTCOMES, REVERSED, count_ended
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

MAX_DROPPED_SHARE = 0.10  # the share of the scope that a full import may end without approval


def finalize_preview(job: Import, writer: ResultWriter) -> bool:
    """End a preview: nothing is committed, and the outcomes decide the next state."""
    job.fingerprint = writer.digest.hexdigest()
    job.ending = count_ended(writer.counts)
    if job.review == Review.DRY_RUN:
        set_state(job, State.CANCELLED, *_dry_run_problems(job, writer.counts))
    elif _cannot_apply(job, writer.counts):
        set_state(job, State.FAILED, _nothing_applied_refusal(job, writer.counts))
    elif job.review == Review.ALWAYS or _drops_too_many(job, writer.counts):
        set_state(job, State.NEEDS_REVIEW)
    else:
        job.state = State.APPLYING
        job.fingerprint = ""
    return False


def finalize_check(job: Import, writer: ResultWriter) -> bool:
    """
    Check, right before the first chunk, whether the outcomes are still the approved ones; else ask for approval again.
    """
    if writer.digest.hexdigest() != job.fingerprint:
        _require_new_approval(job, writer)
    return False


def finalize_all_or_nothing(job: Import, writer: ResultWriter) -> bool:
    """
    Return True if the run is to be committed: it has no errors, and its outcomes are the approved ones or need no
    approval.
    """
    if job.fingerprint and writer.digest.hexdigest() != job.fingerprint:
        _require_new_approval(job, writer)
    elif _cannot_apply(job, writer.counts):
        set_state(job, State.FAILED, _nothing_applied_refusal(job, writer.counts))
    elif job.approved_by_id is None and not job.fingerprint and _drops_too_many(job, writer.counts):
        job.fingerprint = writer.digest.hexdigest()
        set_state(job, State.NEEDS_REVIEW)
    else:
        job.checkpoint = writer.counts.total()
        set_state(job, State.DONE)
        return True
    return False


def finalize_chunks(job: Import) -> None:
    counts = Counter(job.counts)
    if job.kind == UNDO:
        _finalize_undo(job, counts)
    if _cannot_apply(job, counts):
        job.checkpoint = 0  # set to false, because there is nothing to undo
        set_state(job, State.FAILED, _nothing_applied_refusal(job, counts))
    else:
        set_state(job, State.DONE_WITH_ERRORS if counts[ERROR] else State.DONE)


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
    set_state(job, State.NEEDS_REVIEW, Refusal("changed_since_preview", message))


def _cannot_apply(job: Import, counts: Counter[str]) -> bool:
    """Return True if nothing can be applied: there are errors, and ``on_error`` is abort or no row is good."""
    good = counts.total() - counts[ERROR] - sum(counts[outcome] for outcome in KEPT_OUTCOMES)
    return bool(counts[ERROR]) and (job.on_error == OnError.ABORT or not good)


def _drops_too_many(job: Import, counts: Counter[str]) -> bool:
    return job.mode == Mode.FULL and count_ended(counts) > MAX_DROPPED_SHARE * job.in_scope


def _dry_run_problems(job: Import, counts: Counter[str]) -> list[Refusal]:
    """Return the reasons why the real run of a dry run would not be applied, or not without approval."""
    if _cannot_apply(job, counts):
        message = _("%(errors)s of %(rows)s rows have errors. Nothing would be applied.")
        return [Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})]
    if _drops_too_many(job, counts):
        message = _(
            "%(ending)s of the %(in_scope)s enrollments in the scope would end. The import would need approval."
        )
        return [Refusal("approval_needed", message % {"ending": count_ended(counts), "in_scope": job.in_scope})]
    return []


def _nothing_applied_refusal(job: Import, counts: Counter[str]) -> Refusal:
    message = _("%(errors)s of %(rows)s rows have errors. Nothing was applied.")
    return Refusal("rows_with_errors", message % {"errors": counts[ERROR], "rows": job.rows})


def set_state(job: Import, state: State, *problems: Refusal) -> None:
    """Set the state of a locked import, which the caller saves. The reasons are added before its earlier problems."""
    assert job.can_transition_to(state), (job.state, state)  # ``TRANSITIONS`` has all allowed changes
    job.state = state
    job.problems = [*(refusal.as_stored() for refusal in problems), *job.problems]
    if state not in (State.APPLYING, State.NEEDS_REVIEW):
        job.finished_at = timezone.now()
