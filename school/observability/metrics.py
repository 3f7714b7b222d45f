"""
Prometheus metrics.

Labels contain neither ids nor values that a client can choose freely.
"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import prometheus_client
from django.http import HttpRequest, HttpResponseBase

from school.observability.logging import method_label

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

request_duration = prometheus_client.Histogram(
    "school_request_seconds", "Requests, and how long they took.", ["method", "route", "status"], buckets=BUCKETS
)
command_counter = prometheus_client.Counter("school_enrollment_acts", "Changes of enrollments.", ["action", "channel"])
refusal_counter = prometheus_client.Counter("school_refusals", "Reasons of refused enrollment commands.", ["code"])


class RequestMetrics:
    """Records the duration of each request by method, route and status."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response: HttpResponseBase = self.get_response(request)
        match = request.resolver_match
        histogram = request_duration.labels(
            method_label(request), match.route if match else "none", str(response.status_code)
        )
        histogram.observe(time.perf_counter() - started)
        return response


def count_commands(commands: Mapping[tuple[str, str], int], refused: Counter[str]) -> None:
    """Increase the counters of changes, by (action, channel), and of refusals, by code."""
    for labels, number in commands.items():
        command_counter.labels(*labels).inc(number)
    for code, number in refused.items():
        refusal_counter.labels(code).inc(number)
