"""
The lifecycle of an import: submitted, previewed, approved, applied, undone.

Every entry point uses these functions.

A function that makes an import pending takes ``dispatch``, and calls it with the import in the same transaction:
``enqueue`` enqueues the import for a worker, ``reserve`` reserves it for this process. Each function first checks,
outside of a transaction, whether the action is possible: so a refusal never waits for a lock, which on SQLite every
transaction takes.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk import file_store
from bulk.importers.registry import importers_of, modes_of, options_of, parts_of
from bulk.jobs.leases import interruption_problem, is_free, is_held
from bulk.models import (
    ACTIVE_STATES,
    DEFAULT_DATASET,
    FINISHED_STATES,
    PROCESSING_STATES,
    UNDO,
    DatasetKey,
    Import,
    ImportChannel,
    Mode,
    OnError,
    Progress,
    Review,
    State,
)
from school.access.row_scope import outside_scope_refusal, row_scope_of_account
from school.refusals import Refusal, Refused
from school.validators import is_plain, normalized


@dataclass(frozen=True)
class ImportRequest:
    """
    The parameters of a new import.

    ``client`` is the service account of the API client that sends the file; each client has its own datasets. With
    ``again`` the file is applied even if it is the one that was applied last.
    """

    kind: str
    channel: ImportChannel
    request_id: str
    file_name: str = ""
    dataset: str = DEFAULT_DATASET
    mode: str = Mode.DELTA
    scope: str = ""
    on_error: str = OnError.ABORT
    review: str = Review.ALWAYS
    options: dict[str, str] = field(default_factory=dict)
    rights: tuple[str, ...] = ()
    actor: Any = None
    client: Any = None
    again: bool = False


class AlreadyApplied(Exception):
    """The file is the one that was applied last. ``earlier`` is that import."""

    def __init__(self, earlier: Import) -> None:
        self.earlier = earlier
        super().__init__(_("This file was already applied by import %(id)s.") % {"id": earlier.pk})


Dispatch = Callable[[Import], object]

# The upper 16 of the 64 bits of the keys of these advisory locks. School's other advisory locks have other upper bits.
LOCK_NAMESPACE = 0x5C43


def leave_pending(job: Import) -> None:
    """Do nothing. This is the default of ``dispatch``: the worker looks for pending imports and finds this one."""


def submit(source: BinaryIO, request: ImportRequest, *, dispatch: Dispatch = leave_pending) -> Import:
    """
    Store a file and create its import, which is then pending.

    Raise ``Refused`` for invalid options and while another import of the dataset is active, ``AlreadyApplied`` for the
    file that was applied last.
    """
    job = Import(
        kind=request.kind,
        dataset=normalized(request.dataset),
        mode=request.mode,
        scope=request.scope,
        on_error=request.on_error,
        review=request.review,
        options=request.options,
        rights=list(request.rights),
        file_name=normalized(request.file_name)[-255:],
        door=request.channel,
        actor=request.actor,
        client=request.client,
        request_id=request.request_id,
    )
    refusals = _validate(job)
    if refusals:
        raise Refused(refusals)
    _refuse_if_active(job.dataset_key)
    if not request.again:
        _refuse_if_applied(job, file_store.sha256_of(source))
    with _locked_dataset(job.dataset_key):
        _fail_abandoned(job.dataset_key)
        job.save()
        Progress.objects.create(file_import=job)
        file_store.store_file(source, job)
        dispatch(job)
    return job


def _validate(job: Import) -> list[Refusal]:
    refusals = []
    for name, text in (("dataset", job.dataset), ("scope", job.scope), ("file", job.file_name)):
        if not is_plain(text):
            refusals.append(
                Refusal("control_characters", _("Control characters are not allowed. Remove them."), field=name)
            )
    if not job.dataset:
        refusals.append(Refusal("blank", _("Give the name of the dataset."), field="dataset"))
    if job.mode not in modes_of(job.kind):
        message = _("Files of the kind %(kind)s can only be sent in the mode delta.") % {"kind": job.kind}
        refusals.append(Refusal("mode_not_offered", message, field="mode"))
    if job.scope and job.mode != Mode.FULL:
        refusals.append(Refusal("invalid_scope", _("A scope can only be given for a full file."), field="scope"))
    known = options_of(job.kind)
    for name, value in job.options.items():
        if name not in known:
            message = _("Files of the kind %(kind)s have no option %(name)s.") % {"kind": job.kind, "name": name}
            refusals.append(Refusal("unknown_option", message, field=name))
        elif known[name].choices and value not in known[name].choices:
            message = _("%(value)s is not one of: %(choices)s.")
            parts = {"value": value, "choices": ", ".join(known[name].choices)}
            refusals.append(Refusal("invalid_choice", message % parts, field=name))
    importers = importers_of(job.kind)
    if not all(importer.enforces_limits for importer in importers) and row_scope_of_account(job.actor_id):
        refusals.append(outside_scope_refusal())
    return refusals or [refusal for importer in importers for refusal in importer(job).check()]


def _refuse_if_applied(job: Import, sha256: str) -> None:
    """
    Raise ``AlreadyApplied`` if the import repeats the last one that changed the dataset.

    That is the case if the last import had the same file and the same parameters, and has applied every row.
    """
    committed = Q(checkpoint__gt=0) | Q(state__in=FINISHED_STATES)
    last = (
        Import.objects.of_dataset(job.dataset_key)
        .filter(committed)
        .exclude(state__in=ACTIVE_STATES)
        .order_by("-pk")
        .first()
    )
    if last is None or last.state != State.DONE or last.errors or last.sha256 != sha256:
        return
    parameters = ("kind", "mode", "scope", "options", "on_error")
    if all(getattr(last, name) == getattr(job, name) for name in parameters):
        raise AlreadyApplied(last)


@contextmanager
def _locked_dataset(dataset: DatasetKey) -> Iterator[None]:
    """
    Open a transaction that creates an import of a dataset; raise ``Refused`` while another import is active.

    Raise ``Refused`` also if another transaction is creating one at this moment; without the lock, the database would
    make this transaction wait for the other one.
    """
    try:
        with transaction.atomic():
            if not _try_lock(dataset):
                raise Refused([_submission_refusal(dataset)])
            yield
    except IntegrityError:
        other = Import.objects.of_dataset(dataset).filter(state__in=ACTIVE_STATES).first()
        if other is None:
            raise
        raise Refused([in_progress_refusal(other)]) from None


def _try_lock(dataset: DatasetKey) -> bool:
    """
    Lock a dataset for the rest of the transaction; return False if another transaction holds the lock.

    SQLite needs no lock, because it has one writer at a time.
    """
    if connection.vendor != "postgresql":
        return True
    digest = hashlib.sha256(repr(tuple(dataset)).encode()).digest()
    key = (LOCK_NAMESPACE << 48) | int.from_bytes(digest[:6], "big")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
        return bool(cursor.fetchone()[0])


def _refuse_if_active(dataset: DatasetKey) -> None:
    """Raise ``Refused`` while another import of the dataset is active."""
    for other in Import.objects.of_dataset(dataset).filter(state__in=ACTIVE_STATES):
        if not _is_abandoned(other):
            raise Refused([in_progress_refusal(other)])


def in_progress_refusal(other: Import) -> Refusal:
    parts = {"id": other.pk, "dataset": other.dataset}
    if other.state == State.NEEDS_REVIEW:
        message = _("Import %(id)s of the dataset %(dataset)s needs review. Approve or cancel it first.") % parts
    else:
        message = (
            _("Import %(id)s of the dataset %(dataset)s is running. Try again when it has ended, or cancel it.") % parts
        )
    return Refusal("import_in_progress", message, _("Another import is in progress"), members={"import": other.pk})


def _submission_refusal(dataset: DatasetKey) -> Refusal:
    message = _("Another import of the dataset %(dataset)s is being uploaded. Try again when it has ended.")
    return Refusal("import_in_progress", message % {"dataset": dataset.name}, _("Another import is in progress"))


def _is_abandoned(job: Import) -> bool:
    """Return True if a command's import is unfinished but the process of the command has ended."""
    if (
        job.door != ImportChannel.COMMAND
        or job.state not in PROCESSING_STATES
        or not job.lease_owner
        or not is_free(job)
    ):
        return False
    # A long transaction does not renew its lease. On PostgreSQL it holds the row's lock; SQLite has no row locks.
    return connection.vendor != "sqlite" or not is_held(job)


def _fail_abandoned(dataset: DatasetKey) -> None:
    """Mark unfinished imports of commands as failed if their process has ended, so that the next import can begin."""
    active = Import.objects.of_dataset(dataset).select_for_update(skip_locked=True).filter(state__in=PROCESSING_STATES)
    for job in active:
        if _is_abandoned(job):
            job.state, job.finished_at = State.FAILED, timezone.now()
            job.problems = [interruption_problem(job)]
            job.save()


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
    _refuse_if_active(job.dataset_key)
    with _locked_dataset(job.dataset_key):
        _fail_abandoned(job.dataset_key)
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
