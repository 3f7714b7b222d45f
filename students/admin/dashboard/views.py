"""The home page of the admin: statistics with links to the lists behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from bulk.models import Import, State
from courses.models import Course, Level, Term
from school.access.row_scope import RowScope, row_scope_of_staff
from school.admin_site.theme import model_link
from school.i18n.stored_messages import format_count
from school.validators import parse_ids
from students.admin.dashboard import statistics
from students.admin.dashboard.statistics import CourseSeats, DailyCount, SeatTotals, TermSeats
from students.models import LEFT_STATUSES, RefusedAct, Status, StudentCourse
from students.templatetags.refusal_titles import titles

MAX_FULLEST = 10
MAX_REASONS = 6
RECENT = timedelta(days=7)
# Links to the audit logs, for users who may see these but no statistics.
AUDIT_LINKS = [
    model_link(gettext_lazy("Journal"), "", "students.EnrollmentEvent"),
    model_link(gettext_lazy("Record of access"), "", "school.PersonalDataAccess"),
]
CHART_HEIGHT = 100  # the size of the chart, in its own units; each day has the width 1
LONG_GAP = 28  # days without enrollments that the chart leaves out
MAX_DAYS_BY_WEEK = 45  # days in a chart that is labeled by week; a longer one is labeled by month
MIN_LABEL_DISTANCE = 18  # percent of the width of the chart


@dataclass(frozen=True, slots=True)
class StatCard:
    """A number with a link to the list behind it. ``is_urgent`` marks a number that needs attention."""

    number: int
    label: str
    link: str
    icon: str = ""
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A row of the seat table, with links to the lists behind its numbers."""

    title: str
    seats: SeatTotals
    links: Mapping[str, str]
    is_total: bool = False


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


def dashboard_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the home page with the statistics that the user may see."""
    has_permission = request.user.has_perm
    today = timezone.localdate()
    dashboard: dict[str, Any] = {"today": today, "alerts": []}
    if has_permission("courses.view_course") and has_permission("students.view_studentcourse"):
        dashboard |= _seats_context(request, today)
    if has_permission("bulk.view_import"):
        dashboard["alerts"] = [*_import_alerts(request, today), *dashboard["alerts"]]
    if has_permission("students.view_refusedact"):
        dashboard |= _refusals_context(request, today, dashboard)
    dashboard["urgent"] = [alert for alert in dashboard["alerts"] if alert.is_urgent]
    dashboard["audit_links"] = [each for each in AUDIT_LINKS if each["permission"](request)]
    return {**context, "dashboard": dashboard}


def _changelist_url(model: Any, **filters: Any) -> str:
    """Return the URL of a list in the admin."""
    url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def _seats_context(request: HttpRequest, today: date) -> dict[str, Any]:
    row_scope = row_scope_of_staff(request.user)
    terms = statistics.current_and_upcoming_terms(today, row_scope)
    requested_ids = parse_ids(request.GET.get("term", ""))
    term = next((term for term in terms if term.pk in requested_ids), statistics.current_term(terms, today))
    courses_with_seats = statistics.active_course_seats(row_scope)
    term_courses = [course for course in courses_with_seats if course.term_id == (term.pk if term else None)]
    by_term = statistics.seats_by_term(terms, courses_with_seats)
    totals = next((each.total for each in by_term if each.term == term), SeatTotals())
    return {
        "terms": terms,
        "term": term,
        "stats": _stat_cards(term, totals, term_courses),
        "alerts": _course_alerts(courses_with_seats),
        "rows": [row for each in by_term for row in _seat_rows(each)],
        "fullest": [
            (course, reverse("admin:courses_course_change", args=[course.id]))
            for course in statistics.fullest(term_courses, MAX_FULLEST)
        ],
        "chart": _chart(term, today, row_scope) if term else None,
    }


def _term_filter(term: Term | None, prefix: str = "") -> dict[str, Any]:
    """Return the list filter for a term, or for courses without a term."""
    return {f"{prefix}term__id__exact": term.pk} if term else {f"{prefix}term__isnull": "True"}


def _stat_cards(term: Term | None, seats: SeatTotals, courses_with_seats: list[CourseSeats]) -> list[StatCard]:
    courses = {"is_active__exact": 1, **_term_filter(term)}
    enrollments = {f"course__{name}": value for name, value in courses.items()}
    full = sum(course.seats.free == 0 for course in courses_with_seats)
    return [
        StatCard(
            seats.taken,
            pgettext("how many are", "enrolled"),
            _changelist_url(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
        ),
        StatCard(seats.free, _("free seats"), _changelist_url(Course, seats="free", **courses)),
        StatCard(
            seats.waiting,
            _("waitlisted"),
            _changelist_url(StudentCourse, status__exact=Status.WAITLISTED, **enrollments),
        ),
        StatCard(full, _("full courses"), _changelist_url(Course, seats="full", **courses)),
    ]


def _course_alerts(courses_with_seats: list[CourseSeats]) -> list[StatCard]:
    over = sum(course.is_over for course in courses_with_seats)
    stuck = sum(course.is_waitlist_stuck for course in courses_with_seats)
    return [
        StatCard(
            over,
            ngettext("course over its capacity", "courses over their capacity", over),
            _changelist_url(Course, seats="over", is_active__exact=1),
            "error",
            bool(over),
        ),
        StatCard(
            stuck,
            ngettext("waitlist with free seats", "waitlists with free seats", stuck),
            _changelist_url(Course, seats="held_up", is_active__exact=1),
            "hourglass_empty",
            bool(stuck),
        ),
    ]


def _import_alerts(request: HttpRequest, today: date) -> list[StatCard]:
    since = today - RECENT
    by_state = statistics.imports_by_state(since, row_scope_of_staff(request.user))
    pending = by_state[State.NEEDS_REVIEW]
    failed = sum(by_state[state] for state in statistics.FAILED_STATES)
    states = ",".join(statistics.FAILED_STATES)
    return [
        StatCard(
            pending,
            ngettext("import needs review", "imports need review", pending),
            _changelist_url(Import, state__exact=State.NEEDS_REVIEW),
            "approval",
            bool(pending),
        ),
        StatCard(
            failed,
            ngettext("import with errors in the last 7 days", "imports with errors in the last 7 days", failed),
            _changelist_url(Import, state__in=states, created_at__date__gte=since),
            "report",
            bool(failed),
        ),
    ]


def _refusals_context(request: HttpRequest, today: date, dashboard: dict[str, Any]) -> dict[str, Any]:
    refusals = statistics.refusals_on(today, row_scope_of_staff(request.user))
    day = {"day__gte": today, "day__lt": today + timedelta(days=1)}
    card = StatCard(
        refusals.students,
        ngettext("student refused today", "students refused today", refusals.students),
        _changelist_url(RefusedAct, **day),
        "block",
        bool(refusals.students),
    )
    reasons = [
        StatCard(number, titles([code]), _changelist_url(RefusedAct, reason=code, **day))
        for code, number in refusals.by_code[:MAX_REASONS]
    ]
    return {
        "alerts": [*dashboard["alerts"], card],
        "reasons": reasons,
        "most_refusals": reasons[0].number if reasons else 0,
    }


def _seat_rows(term_seats: TermSeats) -> list[SeatRow]:
    """Return the row of a term, followed by the rows of its levels."""
    levels = [(level, seats, {"level__exact": level}) for level, seats in term_seats.by_level.items()]
    groups: list[tuple[str, SeatTotals, dict[str, Any]]] = [("", term_seats.total, {}), *levels]
    rows = []
    for level, seats, level_filter in groups:
        courses = {"is_active__exact": 1, **_term_filter(term_seats.term), **level_filter}
        enrollments = {f"course__{name}": value for name, value in courses.items()}
        links = {
            "courses": _changelist_url(Course, **courses),
            "taken": _changelist_url(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
            "free": _changelist_url(Course, seats="free", **courses),
            "waiting": _changelist_url(StudentCourse, status__exact=Status.WAITLISTED, **enrollments),
        }
        title = str(Level(level).label) if level else (term_seats.term.name if term_seats.term else _("Without a term"))
        rows.append(SeatRow(title, seats, links, is_total=not level))
    return rows


def _chart(term: Term, today: date, row_scope: RowScope | None) -> dict[str, Any] | None:
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
    term_filter = _term_filter(term, "course__")
    if left:
        return _changelist_url(StudentCourse, status__in=",".join(LEFT_STATUSES), ended_on__exact=day, **term_filter)
    return _changelist_url(StudentCourse, enrolled_on__exact=day, **term_filter)
