"""
Who works on an import. A task that is killed is never run again by its queue: the import itself knows who has it.

Within a transaction the lock of the import's row is the proof that its owner lives, and the database takes it back
from one who does not. Between two transactions it is a lease of some seconds, which every chunk renews.
"""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.models import AT_WORK, Door, Import, Progress, State
from school.spoken import in_english

LEASE = timedelta(seconds=15)
MOST_ATTEMPTS = 50  # without a chunk that was kept
BEAT = 1.0  # seconds between two notes of how far a long transaction is


class Lost(Exception):
    """Somebody else works on the import by now: whoever meets this has nothing left to do."""


class Cancelled(Exception):
    """Somebody wants the import to stop."""


@dataclass
class Lease:
    """The right to work on an import, and its pulse."""

    import_id: int
    owner: str
    rows: int = 0
    wants_cancel: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def locked(self) -> Import:
        """Lock the import for the rest of the transaction and return it as it is; raise ``Lost``."""
        job = Import.objects.select_for_update().get(pk=self.import_id)
        if job.lease_owner != self.owner or job.state not in AT_WORK:
            raise Lost
        return job

    def extend(self, job: Import) -> None:
        """Renew the lease, with whatever else is saved of the import."""
        job.leased_until = timezone.now() + LEASE
        job.attempts = 0

    def note(self, rows: int) -> None:
        """Note how far a long transaction is, for the next beat."""
        self.rows = rows

    def record(self, rows: int) -> None:
        """Save how far the import is, with the current transaction."""
        self.rows = rows
        Progress.objects.filter(pk=self.import_id).update(rows=rows, at=timezone.now())

    def stop_if_asked(self) -> None:
        """Raise ``Cancelled`` where somebody wants the import to stop."""
        if self.wants_cancel or Progress.objects.filter(pk=self.import_id, wants_cancel=True).exists():
            raise Cancelled

    @contextmanager
    def beating(self) -> Iterator["Lease"]:
        """
        Tell others, over a connection of its own, how far the one long transaction of this block is.

        Not on SQLite, where nobody else can write meanwhile.
        """
        if connection.vendor == "sqlite":
            yield self
            return
        beat = threading.Thread(target=self._beat, daemon=True)
        beat.start()
        try:
            yield self
        finally:
            self.ended.set()
            beat.join()
            self.ended.clear()

    def _beat(self) -> None:
        try:
            while not self.ended.wait(BEAT):
                Progress.objects.filter(pk=self.import_id).update(rows=self.rows, at=timezone.now())
        finally:
            connection.close()


@transaction.atomic
def claim(import_id: int) -> Lease | None:
    """Take an import that waits for work and that nobody works on; None where there is nothing to take."""
    job = Import.objects.select_for_update(skip_locked=True).filter(pk=import_id, state__in=AT_WORK).first()
    if job is None or not is_free(job):
        return None
    job.attempts += 1
    if job.attempts > MOST_ATTEMPTS:
        job.state, job.finished_at = State.FAILED, timezone.now()
        with in_english():
            message = _("It was interrupted again and again, and is given up.")
        job.problems = [{"code": "interrupted", "message": message}]
        job.save()
        return None
    lease = Lease(job.pk, f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}")
    job.lease_owner = lease.owner
    job.started_at = job.started_at or timezone.now()
    job.leased_until = timezone.now() + LEASE
    job.save(update_fields=["lease_owner", "leased_until", "started_at", "attempts"])
    return lease


def is_free(job: Import) -> bool:
    """Tell whether nobody works on an import: nobody has begun, or who did has not been heard of since."""
    return job.leased_until is None or job.leased_until < timezone.now() or _is_dead(job.lease_owner)


def orphans() -> list[int]:
    """Return the imports that somebody began to work on and left behind, or that no task ever came for."""
    forgotten = Q(lease_owner="", created_at__lt=timezone.now() - LEASE) & ~Q(door=Door.COMMAND)
    waiting = Import.objects.filter(~Q(lease_owner="") | forgotten, state__in=AT_WORK)
    return [job.pk for job in waiting.order_by("pk") if is_free(job)]


def is_held(job: Import) -> bool:
    """Tell whether somebody is known to work on an import: by the lease, or as a process of this machine."""
    host = job.lease_owner.split(":")[0]
    return not is_free(job) or (host == socket.gethostname() and not _is_dead(job.lease_owner))


def _is_dead(owner: str) -> bool:
    """Tell whether a process of this machine is known to have ended. Of other machines the lease tells."""
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
