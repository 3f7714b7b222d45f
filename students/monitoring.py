"""Reports the state of the change feed to the metrics endpoint."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from students.events.kinds import KINDS, Kind


def feed_metrics() -> Iterator[Metric]:
    """Yield a gauge of the time for which the oldest committed entry has waited to appear in the change feed."""
    yield GaugeMetricFamily(
        "school_feed_lag_seconds",
        "Age of the oldest change that the change feed does not show yet; 0 if it shows all.",
        value=_feed_lag_seconds(),
    )


def _feed_lag_seconds() -> float:
    times = [at for at in map(_oldest_hidden_time, KINDS.values()) if at is not None]
    return max((timezone.now() - min(times)).total_seconds(), 0) if times else 0


def _oldest_hidden_time(kind: Kind) -> datetime | None:
    watermark = kind.table.safe_watermark()
    if watermark is None:
        return None
    hidden = kind.rows().filter(pk__gt=watermark).order_by("pk")
    at: datetime | None = hidden.values_list(kind.digest_fields[2], flat=True).first()
    return at
