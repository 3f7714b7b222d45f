"""The ``/metrics`` endpoint: counters of all processes of the server, and gauges read from the database."""

import os
from collections.abc import Iterator

import prometheus_client
from django.conf import settings
from django.db import Error
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django_tasks_db.models import DBTaskResult
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from bulk.jobs.heartbeat import workers
from bulk.models import Import, State

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's variable for the folder of the processes' counters


class Stock(Collector):
    """Gauges that are queried from the database at each scrape."""

    def collect(self) -> Iterator[Metric]:
        is_there = GaugeMetricFamily("school_database_up", "Whether the database answers.", value=1)
        try:
            yield from list(self._asked())
        except Error:
            is_there = GaugeMetricFamily("school_database_up", "Whether the database answers.", value=0)
        yield is_there

    def _asked(self) -> Iterator[Metric]:
        imports = GaugeMetricFamily("school_imports", "Imports by state.", labels=["state"])
        found = dict(Import.objects.order_by().values_list("state").annotate(Count("pk")))
        for state in State.values:
            imports.add_metric([state], found.get(state, 0))
        yield imports
        waiting = DBTaskResult.objects.ready().count()
        yield GaugeMetricFamily("school_queue_length", "Tasks that wait for a worker.", value=waiting)
        yield GaugeMetricFamily("school_workers", "Workers heard of lately.", value=workers())


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to a client with METRICS_TOKEN as its bearer token; raise ``Http404`` for all others."""
    shown = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(shown, f"Bearer {settings.METRICS_TOKEN}"):
        raise Http404
    registry = prometheus_client.REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types
    text = prometheus_client.generate_latest(registry) + prometheus_client.generate_latest(_stock())
    return HttpResponse(text, content_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)


def _stock() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Stock())
    return registry
