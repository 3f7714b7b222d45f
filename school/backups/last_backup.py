"""The time of the last backup, which the database keeps for the metrics endpoint."""

import json
from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from school.models import CachedValue

KEY = "last_backup"


def record_backup() -> None:
    """Store that a backup is complete. Raise ``DatabaseError`` if the database takes no writes, as a standby."""
    CachedValue.objects.update_or_create(key=KEY, defaults={"value": json.dumps(timezone.now().isoformat())})


def backup_metrics() -> Iterator[Metric]:
    """Yield a gauge of the time of the last backup, 0 if there is none."""
    text = CachedValue.objects.filter(key=KEY).values_list("value", flat=True).first()
    yield GaugeMetricFamily(
        "school_last_backup_timestamp_seconds",
        "Time at which the last backup was complete; 0 without one.",
        value=0 if text is None else datetime.fromisoformat(json.loads(text)).timestamp(),
    )
