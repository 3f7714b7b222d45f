"""
The actions of users and clients on an import: approve, cancel and undo.

Every entry point uses these functions.

A function that makes an import pending takes ``dispatch``, and calls it with the import in the same transaction:
``leave_pending`` leaves the import to a worker, ``reserve`` reserves it for this process. Each function first checks,
outside of a transaction, whether the action is possible: so a refusal never waits for a lock, which on SQLite every
transaction takes.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.importers.import_parts import parts_of
from bulk.jobs.dataset_lock import Dispatch, fail_abandoned, leave_pending, locked_dataset, refuse_if_active
from bulk.jobs.leases import is_free
from bulk.models import (
    UNDO,
    Import,
    ImportChannel,
    OnError,
    Progress,
    Review,
    State,
)
from school.refusals import Refusal, Refused


def approve(import_id: int, *, actor: Any = None, on_error: str = "", dispatch: Dispatch = leave_pending) -> Import:
    """
    Approve an import that waits for review, so that it is applied; raise ``Refused`` if it is in another state.

    ``on_error`` replaces the one of the request, now that the errors are known: ``skip`` applies the rows without
    errors, ``abort`` all rows in one transaction, and is refused if the preview has errors.
    """
    job = get_import(import_id)
    _check_state(job, State.APPLYING, State.NEEDS_REVIEW)
    _check_on_error(job, on_error)
    with transaction.atomic():
        # First lock the row that ``cancel`` writes to, so that a later request to stop applies to the run that begins
        # now.
        Progress.objects.select_for_update().get(pk=import_id)
        job = Import.objects.select_for_update().get(pk=import_id)
        _check_state(job, State.APPLYING, State.NEEDS_REVIEW)
        _check_on_error(job, on_error)
        job.state, job.approved_by, job.on_error = State.APPLYING, actor, on_error or job.on_error
        job.lease_owner, job.leased_until, job.started_at, job.attempts = "", None, None, 0
        job.problems = []
        job.save()
        Progress.objects.filter(pk=job.pk).update(rows=0, at=timezone.now(), wants_cancel=False)
        dispatch(job)
    return job


def _check_on_error(job: Import, on_error: str) -> None:
    """Raise ``Refused`` if an import cannot be applied with this ``on_error``, which is empty if it is not replaced."""
    if on_error == OnError.ABORT and job.kind == UNDO:
        message = _("An undo reverses each row by itself. It cannot be sent with on_error abort.")
        raise Refused([Refusal("import_not_possible", message, field="on_error")])
    if on_error == OnError.ABORT and job.errors:
        message = _("%(errors)s of %(rows)s rows have errors. Nothing was applied.")
        raise Refused([Refusal("rows_with_errors", message % {"errors": job.errors, "rows": job.rows})])


def cancel(import_id: int) -> Import:
    """
    Stop an import; raise ``Refused`` if it has ended.

    An import that no process works on is cancelled immediately, any other one when its process next checks for a
    request to stop. Chunks that are applied by then stay applied, and can be undone.
    """
    job = _cancel_if_idle(import_id)
    if job.is_active:
        Progress.objects.filter(pk=import_id).update(wants_cancel=True)
        job = _cancel_if_idle(import_id)  # the process of the import may have ended without reading the request to stop
    return job


def _cancel_if_idle(import_id: int) -> Import:
    """Cancel an import if no process works on it, and return its current row; raise ``Refused`` if it has ended."""
    job = get_import(import_id)
    if not job.is_active:
        raise Refused([_transition_refusal(job, State.CANCELLED)])
    with transaction.atomic():
        locked = Import.objects.select_for_update(skip_locked=True).filter(pk=import_id).first()
        if locked is None:
            return job
        if not locked.is_active:
            raise Refused([_transition_refusal(locked, State.CANCELLED)])
        if locked.state == State.NEEDS_REVIEW or is_free(locked):
            locked.state, locked.finished_at = State.CANCELLED, timezone.now()
            locked.save()
            if locked.checkpoint:
                # ``finish`` gives the seats that the import has freed to waitlisted students.
                for part in parts_of(locked):
                    part.importer.finish()
    return locked


def start_undo(
    import_id: int,
    *,
    channel: ImportChannel,
    request_id: str,
    actor: Any = None,
    dry_run: bool = False,
    review: Review = Review.NEEDED,
    dispatch: Dispatch = leave_pending,
) -> Import:
    """
    Create the import that undoes another one, which is then pending; raise ``Refused`` if that is not possible.

    With the review ``ALWAYS`` the undo waits for approval after its preview.
    """
    original = get_import(import_id)
    if not original.can_be_undone:
        raise Refused([_transition_refusal(original, State.UNDONE)])
    job = Import(
        kind=UNDO,
        undoes=original,
        dataset=original.dataset,
        client=original.client,
        on_error=OnError.SKIP,
        review=Review.DRY_RUN if dry_run else review,
        options=original.options,
        file_name=original.file_name,
        door=channel,
        actor=actor,
        request_id=request_id,
    )
    refuse_if_active(job.dataset_key)
    with locked_dataset(job.dataset_key):
        fail_abandoned(job.dataset_key)
        job.save()
        Progress.objects.create(file_import=job)
        dispatch(job)
    return job


def get_import(import_id: int) -> Import:
    """Return an import; raise ``Refused`` if there is none with this id."""
    job = Import.objects.filter(pk=import_id).first()
    if job is None:
        raise Refused([_not_found(import_id)])
    return job


def _not_found(import_id: object) -> Refusal:
    message = _("There is no import %(id)s.") % {"id": import_id}
    return Refusal("import_not_found", message, _("Import not found"))


def _check_state(job: Import, state: State, before: State) -> None:
    """Raise ``Refused`` if an import is not in the state ``before``, from which it may become ``state``."""
    if job.state != before:
        raise Refused([_transition_refusal(job, state)])


def _transition_refusal(job: Import, state: State) -> Refusal:
    message = _("The state of import %(id)s is “%(state)s” and cannot become “%(wanted)s”.")
    parts = {"id": job.pk, "state": job.get_state_display(), "wanted": state.label}
    return Refusal("import_not_possible", message % parts, _("Not possible in this state"))
