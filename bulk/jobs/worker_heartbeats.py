"""Heartbeats of workers: the times at which each worker process has last reported that it is alive."""

import os
import socket
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from bulk.jobs.leases import is_held
from bulk.models import PROCESSING_STATES, Import, Worker

INTERVAL = timedelta(seconds=5)
TIMEOUT = timedelta(seconds=20)  # the time without a heartbeat after which a worker counts as dead
RETENTION = timedelta(days=1)


class Heartbeat:
    """The heartbeat of this process, which a worker sends between two polls for work."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.sent_at = timezone.now() - INTERVAL

    def send(self) -> None:
        """Save a heartbeat if the last one is older than ``INTERVAL``; delete workers without a heartbeat for a day."""
        now = timezone.now()
        if now - self.sent_at < INTERVAL:
            return
        Worker.objects.update_or_create(name=self.name, defaults={"seen_at": now})
        Worker.objects.filter(seen_at__lt=now - RETENTION).delete()
        self.sent_at = now

    def stop(self) -> None:
        """Delete the heartbeat, because this worker ends."""
        Worker.objects.filter(name=self.name).delete()


def count_live_workers() -> int:
    """Return the number of live workers, by their heartbeats and by the imports that they work on."""
    since = timezone.now() - TIMEOUT
    names = set(Worker.objects.filter(seen_at__gt=since).values_list("name", flat=True))
    processing = Import.objects.filter(~Q(lease_owner=""), state__in=PROCESSING_STATES).select_related("progress")
    names |= {job.lease_owner.rpartition(":")[0] for job in processing if job.progress.at > since or is_held(job)}
    return len(names)
