"""Reports the state of the change feed to the metrics endpoint."""

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from students.events.journal import JOURNAL
from students.models import EnrollmentEvent


def feed_metrics() -> Iterator[Metric]:
    """Yield a gauge of the time for which the oldest committed entry has waited to appear in the change feed."""
    yield GaugeMetricFamily(
        "school_feed_lag_seconds",
        "Age of the oldest entry of the journal that the change feed does not show yet; 0 if it shows all.",
        value=_feed_lag_seconds(),
    )


def _feed_lag_seconds() -> float:
    watermark = JOURNAL.safe_watermark()
    if watermark is None:
        return 0
    waiting = EnrollmentEvent.objects.filter(pk__gt=watermark).order_by("pk").values_list("at", flat=True).first()
    return 0 if waiting is None else max((timezone.now() - waiting).total_seconds(), 0)
