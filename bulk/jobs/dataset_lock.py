"""Each dataset has at most one import in progress: its lock, and the end of imports whose command has died."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.jobs.interruption_problem import interruption_problem
from bulk.jobs.leases import is_free, is_held
from bulk.models import (
    ACTIVE_STATES,
    PROCESSING_STATES,
    DatasetKey,
    Import,
    ImportChannel,
    State,
)
from school.refusals import Refusal, Refused

Dispatch = Callable[[Import], object]


# The upper 16 of the 64 bits of the keys of these advisory locks. School's other advisory locks have other upper bits.
LOCK_NAMESPACE = 0x5C43


def leave_pending(job: Import) -> None:
    """Do nothing. This is the default of ``dispatch``: the worker looks for pending imports and finds this one."""


@contextmanager
def locked_dataset(dataset: DatasetKey) -> Iterator[None]:
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


def refuse_if_active(dataset: DatasetKey) -> None:
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


def fail_abandoned(dataset: DatasetKey) -> None:
    """Mark unfinished imports of commands as failed if their process has ended, so that the next import can begin."""
    active = Import.objects.of_dataset(dataset).select_for_update(skip_locked=True).filter(state__in=PROCESSING_STATES)
    for job in active:
        if _is_abandoned(job):
            job.state, job.finished_at = State.FAILED, timezone.now()
            job.problems = [interruption_problem(job)]
            job.save()
