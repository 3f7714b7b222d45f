"""The times of the attempts to deliver a message, as Standard Webhooks recommends them."""

import random
import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

# The time between an attempt that failed and the next one. After the last attempt, the endpoint is paused.
DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
MAX_ATTEMPTS = len(DELAYS) + 1
JITTER = 0.1  # the part by which a delay is shorter or longer at random
MAX_RETRY_AFTER = timedelta(hours=1)
RETRY_AFTER_STATUSES = (429, 503)


def delay_after(failures: int, status: int | None, retry_after: str, now: datetime) -> timedelta | None:
    """
    Return the time until the next attempt after this number of failures; None if there is none.

    ``Retry-After`` of a receiver that is busy can make it longer, up to an hour, and never shorter: otherwise all
    attempts could be used up within seconds.
    """
    if failures >= MAX_ATTEMPTS:
        return None
    delay = DELAYS[failures - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # no secret depends on it
    if status in RETRY_AFTER_STATUSES:
        delay = max(delay, min(_parse_retry_after(retry_after, now), MAX_RETRY_AFTER))
    return delay


def _parse_retry_after(text: str, now: datetime) -> timedelta:
    """Return the time in the header ``Retry-After``, a number of seconds or a date; zero if it is neither."""
    if re.fullmatch("[0-9]{1,9}", text):
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
        return date - now if date.tzinfo else timedelta(0)
    except (TypeError, ValueError, OverflowError):
        return timedelta(0)
