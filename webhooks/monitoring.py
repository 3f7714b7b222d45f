"""Reports the state of webhooks to the metrics endpoint."""

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from webhooks.models import AttemptCount, Endpoint, EndpointState, Outcome, PauseReason
from webhooks.outbox import lag_of


def webhook_metrics() -> Iterator[Metric]:
    """Yield gauges of the webhooks by state and reason and of their lag, and a counter of the attempts by outcome."""
    counts = dict(Endpoint.objects.order_by().values_list("pause_reason").annotate(Count("pk")))
    active = counts.pop("", 0)
    endpoints = GaugeMetricFamily("school_webhooks", "Webhooks by state.", labels=["state"])
    endpoints.add_metric([EndpointState.ACTIVE], active)
    endpoints.add_metric([EndpointState.PAUSED], sum(counts.values()))
    yield endpoints
    paused = GaugeMetricFamily("school_webhooks_paused", "Paused webhooks by reason.", labels=["reason"])
    for reason in PauseReason.values:
        paused.add_metric([reason], counts.get(reason, 0))
    yield paused
    yield GaugeMetricFamily(
        "school_webhook_lag_seconds",
        "Age of the oldest change that an active webhook has not got; 0 if there is none.",
        value=lag_of(list(Endpoint.objects.filter(state=EndpointState.ACTIVE))),
    )
    attempts = CounterMetricFamily("school_webhook_attempts", "Attempts to deliver a message.", labels=["outcome"])
    numbers = dict(AttemptCount.objects.values_list("outcome", "number"))
    for outcome in Outcome.values:
        attempts.add_metric([outcome], numbers.get(outcome, 0))
    yield attempts
