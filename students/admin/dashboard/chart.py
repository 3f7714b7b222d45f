"""The chart of a term's enrollments by day."""

from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from courses.models import Term
from school.access.row_scope import RowScope
from school.i18n.stored_messages import format_count
from students.admin.dashboard import statistics
from students.admin.dashboard.links import changelist_url, term_filter
from students.admin.dashboard.statistics import DailyCount
from students.models import LEFT_STATUSES, StudentCourse

CHART_HEIGHT = 100  # the size of the chart, in its own units; each day has the width 1
LONG_GAP = 28  # days without enrollments that the chart leaves out
MAX_DAYS_BY_WEEK = 45  # days in a chart that is labeled by week; a longer one is labeled by month
MIN_LABEL_DISTANCE = 18  # percent of the width of the chart


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of the chart. Positions and lengths are text, so that they are not localized with a decimal comma."""

    x: int
    enrolled_y: str
    enrolled_height: str
    left_height: str
    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis, at a position in percent, which is text for the same reason."""

    at: str
    label: str


def chart_context(term: Term, today: date, row_scope: RowScope | None) -> dict[str, Any] | None:
    """Return the chart of a term: for each day a bar up for enrollments and one down for leaving, on one scale."""
    days = _without_gaps(statistics.daily_counts(term, today, row_scope))
    if not days:
        return None
    max_enrolled, max_left = max(day.enrolled for day in days), max(day.left for day in days)
    unit = CHART_HEIGHT / max(max_enrolled + max_left, 1)
    return {
        "bars": [_bar(number, day, term, max_enrolled * unit, unit) for number, day in enumerate(days)],
        "days": [
            {"day": day, "enrolled_url": _day_url(day.day, term), "left_url": _day_url(day.day, term, left=True)}
            for day in reversed(days)
            if day.enrolled or day.left
        ],
        "width": len(days),
        "height": CHART_HEIGHT,
        "base": f"{max_enrolled * unit:.2f}",
        "scale": _scale(max_enrolled, max_left, unit),
        "dates": _date_ticks([each.day for each in days]),
        "enrolled_count": sum(day.enrolled for day in days),
        "left_count": sum(day.left for day in days),
    }


def _without_gaps(days: list[DailyCount]) -> list[DailyCount]:
    """Return the days without runs of ``LONG_GAP`` days or more on which nobody enrolled or left."""
    kept: list[DailyCount] = []
    for is_empty, run in groupby(days, key=lambda day: not day.enrolled and not day.left):
        members = list(run)
        if not is_empty or len(members) < LONG_GAP:
            kept += members
    return kept


def _scale(max_enrolled: int, max_left: int, unit: float) -> list[Tick]:
    """Return the labels of the vertical axis: the most enrollments of a day, zero, and the most departures."""
    labels = {max_enrolled: 0.0, 0: max_enrolled * unit}
    ticks = [Tick(f"{at:.2f}", format_count(number)) for number, at in labels.items()]
    return (
        [*ticks, Tick(f"{CHART_HEIGHT:.2f}", format_count(max_left))] if max_left * unit > MIN_LABEL_DISTANCE else ticks
    )


def _date_ticks(days: list[date]) -> list[Tick]:
    """Return the labels of the days: the first one, and the first of each month or week that has room for a label."""
    by_week = len(days) <= MAX_DAYS_BY_WEEK
    ticks: list[Tick] = []
    last = -float(MIN_LABEL_DISTANCE)
    for number, day in enumerate(days):
        at = number / len(days) * 100
        is_start = day.weekday() == 0 if by_week else day.day == 1
        is_after_gap = number > 0 and (day - days[number - 1]).days > 1
        if (
            is_start or is_after_gap or number == 0
        ) and last + MIN_LABEL_DISTANCE <= at <= 100 - MIN_LABEL_DISTANCE / 2:
            ticks.append(Tick(f"{at:.2f}", date_format(day, "MONTH_DAY_FORMAT")))
            last = at
    return ticks


def _bar(number: int, day: DailyCount, term: Term, base: float, unit: float) -> Bar:
    label = _("%(day)s: %(came)s enrolled, %(left)s dropped or withdrawn") % {
        "day": date_format(day.day, "SHORT_DATE_FORMAT"),
        "came": day.enrolled,
        "left": day.left,
    }
    enrolled, left = day.enrolled * unit, day.left * unit
    return Bar(number, f"{base - enrolled:.2f}", f"{enrolled:.2f}", f"{left:.2f}", label, _day_url(day.day, term))


def _day_url(day: date, term: Term, *, left: bool = False) -> str:
    of_term = term_filter(term, "course__")
    if left:
        return changelist_url(StudentCourse, status__in=",".join(LEFT_STATUSES), ended_on__exact=day, **of_term)
    return changelist_url(StudentCourse, enrolled_on__exact=day, **of_term)
