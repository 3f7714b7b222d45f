"""The signs of life that workers leave behind."""

import os
import socket
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from bulk.leases import is_held
from bulk.models import AT_WORK, Import, Worker

EVERY = timedelta(seconds=5)
SILENCE = timedelta(seconds=20)  # after which a worker is not counted on any more
KEPT = timedelta(days=1)


class Pulse:
    """The pulse of this process, which a worker gives between two looks for work."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.given_at = timezone.now() - EVERY

    def give(self) -> None:
        """Note that the worker lives, now and then; forget who has been silent for a day."""
        now = timezone.now()
        if now - self.given_at < EVERY:
            return
        Worker.objects.update_or_create(name=self.name, defaults={"seen_at": now})
        Worker.objects.filter(seen_at__lt=now - KEPT).delete()
        self.given_at = now

    def stop(self) -> None:
        """Say that nobody has to count on this worker any more."""
        Worker.objects.filter(name=self.name).delete()


def workers() -> int:
    """Return how many workers have given a sign of life lately, by their pulse or by the import that they work on."""
    lately = timezone.now() - SILENCE
    names = set(Worker.objects.filter(seen_at__gt=lately).values_list("name", flat=True))
    at_work = Import.objects.filter(~Q(lease_owner=""), state__in=AT_WORK).select_related("progress")
    names |= {job.lease_owner.rpartition(":")[0] for job in at_work if job.progress.at > lately or is_held(job)}
    return len(names)
