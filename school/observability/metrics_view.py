"""The ``/metrics`` endpoint: counters of all processes of the server, and gauges read from the database."""

import os
from collections.abc import Iterator

import prometheus_client
from django.conf import settings
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

# The environment variable with the folder in which prometheus-client stores the counters of the processes.
MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class DatabaseGauges(Collector):
    """Gauges that the functions in ``METRIC_SOURCES`` query from the database at each scrape."""

    def collect(self) -> Iterator[Metric]:
        database_up = GaugeMetricFamily("school_database_up", "1 if the database is reachable, otherwise 0.", value=1)
        try:
            for path in settings.METRIC_SOURCES:
                yield from list(import_string(path)())
        except Error:
            database_up = GaugeMetricFamily(
                "school_database_up", "1 if the database is reachable, otherwise 0.", value=0
            )
        yield database_up


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to a client with METRICS_TOKEN as its bearer token; raise ``Http404`` for all others."""
    authorization = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(authorization, f"Bearer {settings.METRICS_TOKEN}"):
        raise Http404
    registry = prometheus_client.REGISTRY
    if MULTIPROC_DIR_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types
    text = prometheus_client.generate_latest(registry) + prometheus_client.generate_latest(_database_registry())
    return HttpResponse(text, content_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)


def _database_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(DatabaseGauges())
    return registry
