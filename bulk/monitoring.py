"""Reports the state of imports and workers to the health and metrics endpoints."""

from collections.abc import Iterator

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from bulk.jobs.leases import waiting_import_ids
from bulk.jobs.worker_heartbeats import count_live_workers
from bulk.models import PROCESSING_STATES, Import, State


def worker_state() -> str:
    """Return "ok" if a worker is running, else "none"."""
    return "ok" if count_live_workers() else "none"


def import_metrics() -> Iterator[Metric]:
    """Yield gauges of the imports by state, of those that wait for a worker, and of the running workers."""
    imports = GaugeMetricFamily("school_imports", "Imports by state.", labels=["state"])
    counts = dict(Import.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in State.values:
        imports.add_metric([state], counts.get(state, 0))
    yield imports
    yield GaugeMetricFamily(
        "school_oldest_import_seconds",
        "Time since the submission or the last progress of the import that has waited longest; 0 if none waits.",
        value=_oldest_import_seconds(),
    )
    waiting = len(waiting_import_ids())
    yield GaugeMetricFamily("school_queue_length", "Number of imports that wait for a worker.", value=waiting)
    yield GaugeMetricFamily("school_workers", "Number of workers with a recent heartbeat.", value=count_live_workers())


def _oldest_import_seconds() -> float:
    processing = Import.objects.order_by().filter(state__in=PROCESSING_STATES)
    oldest = processing.aggregate(at=Min("progress__at"))["at"]
    return 0 if oldest is None else max((timezone.now() - oldest).total_seconds(), 0)
