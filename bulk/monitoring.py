"""Reports the state of imports and workers to the health and metrics endpoints."""

from collections.abc import Iterator

from django.db.models import Count
from django_tasks_db.models import DBTaskResult
from prometheus_client.core import GaugeMetricFamily, Metric

from bulk.jobs.heartbeat import count_live_workers
from bulk.models import Import, State


def worker_state() -> str:
    """Return "ok" if a worker is running, else "none"."""
    return "ok" if count_live_workers() else "none"


def import_metrics() -> Iterator[Metric]:
    """Yield gauges of the imports by state, of the tasks in the queue, and of the running workers."""
    imports = GaugeMetricFamily("school_imports", "Imports by state.", labels=["state"])
    counts = dict(Import.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in State.values:
        imports.add_metric([state], counts.get(state, 0))
    yield imports
    queued = DBTaskResult.objects.ready().count()
    yield GaugeMetricFamily("school_queue_length", "Number of tasks in the queue.", value=queued)
    yield GaugeMetricFamily("school_workers", "Number of workers with a recent heartbeat.", value=count_live_workers())
