"""Heartbeats of workers."""

import os
import socket
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from bulk.jobs.leases import is_held
from bulk.models import PROCESSING_STATES, Import, Worker

EVERY = timedelta(seconds=5)
SILENCE = timedelta(seconds=20)  # after which a worker counts as dead
KEPT = timedelta(days=1)


class Pulse:
    """The heartbeat of this process, which a worker sends between two polls for work."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.given_at = timezone.now() - EVERY

    def give(self) -> None:
        """Save a heartbeat if the last one is older than ``EVERY``; delete workers without a heartbeat for a day."""
        now = timezone.now()
        if now - self.given_at < EVERY:
            return
        Worker.objects.update_or_create(name=self.name, defaults={"seen_at": now})
        Worker.objects.filter(seen_at__lt=now - KEPT).delete()
        self.given_at = now

    def stop(self) -> None:
        """Delete the heartbeat, because this worker ends."""
        Worker.objects.filter(name=self.name).delete()


def workers() -> int:
    """Return the number of live workers, by their heartbeats and by the imports that they work on."""
    lately = timezone.now() - SILENCE
    names = set(Worker.objects.filter(seen_at__gt=lately).values_list("name", flat=True))
    at_work = Import.objects.filter(~Q(lease_owner=""), state__in=PROCESSING_STATES).select_related("progress")
    names |= {job.lease_owner.rpartition(":")[0] for job in at_work if job.progress.at > lately or is_held(job)}
    return len(names)
