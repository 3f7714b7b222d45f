"""
Leases on imports: they record which process works on an import.

The imports are the queue of the workers, so each import records its owner. Within a transaction, the lock on
the import's row proves that the owner is alive; the database releases the lock when the owner dies. Between two
transactions, the proof is a lease of some seconds, which every chunk renews.
"""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from bulk.models import PROCESSING_STATES, Import, Progress, State
from school.db.retry import retry_transaction
from school.db.sqlite.temporary_copy import is_on_temporary_copy
from school.i18n.stored_messages import in_english
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal

LEASE_DURATION = timedelta(seconds=15)
MAX_ATTEMPTS = 3  # the maximum number of consecutive attempts without a committed chunk
RESERVED = "reserved"  # stored instead of the token of a lease until the process begins to work
HEARTBEAT_INTERVAL = 1.0  # seconds between two heartbeats of a long transaction


class LeaseLost(Exception):
    """The lease is lost: the import has ended or another process works on it. The holder has nothing left to do."""


class Cancelled(Exception):
    """A user has requested that the import stop."""


@dataclass
class Lease:
    """The right to work on an import, and the state of its heartbeat."""

    import_id: int
    owner: str
    rows: int = 0
    wants_cancel: bool = False
    is_lost: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)

    def lock_import(self) -> Import:
        """Lock the import for the rest of the transaction and return its current row; raise ``LeaseLost``."""
        job = Import.objects.select_for_update().get(pk=self.import_id)
        if job.lease_owner != self.owner or job.state not in PROCESSING_STATES:
            raise LeaseLost
        return job

    def renew(self, job: Import) -> None:
        """Renew the lease on ``job``; the caller saves ``job``."""
        job.leased_until = timezone.now() + LEASE_DURATION

    @retry_transaction
    @transaction.atomic
    def keep(self) -> None:
        """Renew the lease while no results are committed; raise ``LeaseLost`` or ``Cancelled``."""
        job = self.lock_import()
        self.check_cancelled()
        self.renew(job)
        job.save(update_fields=["leased_until"])

    def extend(self, job: Import) -> None:
        """Renew the lease after progress, and reset the number of attempts; the caller saves ``job``."""
        self.renew(job)
        job.attempts = 1

    def set_progress(self, rows: int) -> None:
        """Set the number of rows that a long transaction has processed, for the next heartbeat."""
        self.rows = rows

    def save_progress(self, rows: int) -> None:
        """Save the number of processed rows, within the current transaction."""
        self.rows = rows
        Progress.objects.filter(pk=self.import_id).update(rows=rows, at=timezone.now())

    def check_cancelled(self) -> None:
        """
        Raise ``Cancelled`` if a user has requested a stop, ``LeaseLost`` if a heartbeat has found the lease lost.
        """
        if self.is_lost:
            raise LeaseLost
        if self.wants_cancel or Progress.objects.filter(pk=self.import_id, wants_cancel=True).exists():
            raise Cancelled

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """
        Save the progress of the block's one long transaction, in a thread with its own database connection.

        On SQLite no other connection can write during that transaction, so nothing is saved unless the block works on
        a temporary copy. On a temporary copy the block holds no lock on the import's row and does not see the writes
        of other processes: there the heartbeat also renews the lease, and records whether the lease is lost or a user
        has requested a stop.
        """
        if connection.vendor == "sqlite" and not is_on_temporary_copy():
            yield
            return
        thread = threading.Thread(target=self._send_heartbeats, args=[is_on_temporary_copy()], daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            thread.join()
            self.stopped.clear()

    def _send_heartbeats(self, is_on_copy: bool) -> None:
        progress = Progress.objects.filter(pk=self.import_id)
        leased_imports = Import.objects.filter(pk=self.import_id, lease_owner=self.owner, state__in=PROCESSING_STATES)
        try:
            while not self.stopped.wait(HEARTBEAT_INTERVAL):
                # Ignored if the database is busy, because the next heartbeat follows soon.
                with suppress(OperationalError):
                    progress.update(rows=self.rows, at=timezone.now())
                    if is_on_copy:
                        self.is_lost = not leased_imports.update(leased_until=timezone.now() + LEASE_DURATION)
                        self.wants_cancel = progress.filter(wants_cancel=True).exists()
        finally:
            connection.close()


def reserve(job: Import) -> None:
    """Reserve a pending import for this process, so that no worker takes it."""
    job.lease_owner = f"{process_name()}:{RESERVED}"
    job.leased_until = timezone.now() + LEASE_DURATION
    job.save(update_fields=["lease_owner", "leased_until"])


@transaction.atomic
def claim(import_id: int) -> Lease | None:
    """
    Take a pending import that no process works on, and return the lease; None if it cannot be taken.

    An import that has used up ``MAX_ATTEMPTS`` attempts fails instead.
    """
    job = Import.objects.select_for_update(skip_locked=True).filter(pk=import_id, state__in=PROCESSING_STATES).first()
    if job is None or not (is_free(job) or job.lease_owner == f"{process_name()}:{RESERVED}"):
        return None
    job.attempts += 1
    if job.attempts > MAX_ATTEMPTS:
        job.state, job.finished_at = State.FAILED, timezone.now()
        with in_english():
            message = _("The import was interrupted several times and has been stopped.")
        job.problems = [Refusal("interrupted", message).as_stored()]
        job.save()
        return None
    lease = Lease(job.pk, f"{process_name()}:{secrets.token_hex(8)}")
    job.lease_owner = lease.owner
    job.started_at = job.started_at or timezone.now()
    job.leased_until = timezone.now() + LEASE_DURATION
    job.save(update_fields=["lease_owner", "leased_until", "started_at", "attempts"])
    return lease


class Leased(Protocol):
    """A row with a lease. The owner has the form ``process_name():token``."""

    leased_until: Any
    lease_owner: Any


def is_free(job: Leased) -> bool:
    """Return True if no process works on a row: there is no lease, the lease has expired, or its owner has died."""
    return job.leased_until is None or job.leased_until < timezone.now() or _is_dead(job.lease_owner)


def waiting_import_ids() -> list[int]:
    """
    Return the ids of the pending imports that no process works on, the oldest first: new ones, and abandoned ones.
    """
    return [job.pk for job in Import.objects.filter(state__in=PROCESSING_STATES).order_by("pk") if is_free(job)]


def is_own_lease(job: Import) -> bool:
    """Return True if this process holds the lease of an import, or was the last one to hold it."""
    return job.lease_owner.rpartition(":")[0] == process_name()


def is_held(job: Import) -> bool:
    """
    Return True if a process is known to work on an import: by a valid lease, or as a live process of this machine.
    """
    host = job.lease_owner.split(":")[0]
    return not is_free(job) or (host == socket.gethostname() and not _is_dead(job.lease_owner))


def process_name() -> str:
    """Return the host and the id of this process, for the owner of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(owner: str) -> bool:
    """
    Return True if the owner is a process of this machine that has ended.

    The end of a process on another machine shows only when its lease expires.
    """
    host, _colon, rest = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdecimal():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
