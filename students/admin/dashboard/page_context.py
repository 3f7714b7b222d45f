"""The home page of the admin: statistics with links to the lists behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from bulk.models import Import, State
from courses.models import Course, Level, Term
from school.access.row_scope import row_scope_of_staff
from school.admin_site.navigation import model_link
from school.identifiers import parse_ids
from students.admin.dashboard import statistics
from students.admin.dashboard.chart import chart_context
from students.admin.dashboard.links import changelist_url, term_filter
from students.admin.dashboard.statistics import CourseSeats, SeatTotals, TermSeats
from students.models import RefusedAct, Status, StudentCourse
from students.templatetags.refusal_titles import titles

MAX_FULLEST = 10
MAX_REASONS = 6
RECENT = timedelta(days=7)
# Links to the audit logs, for users who may see these but no statistics.
AUDIT_LINKS = [
    model_link(gettext_lazy("Journal"), "", "students.EnrollmentEvent"),
    model_link(gettext_lazy("Record of access"), "", "school.PersonalDataAccess"),
]


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
    for path in settings.DASHBOARD_ALERTS:
        dashboard["alerts"] = [*dashboard["alerts"], *import_string(path)(request)]
    dashboard["urgent"] = [alert for alert in dashboard["alerts"] if alert.is_urgent]
    dashboard["audit_links"] = [each for each in AUDIT_LINKS if each["permission"](request)]
    return {**context, "dashboard": dashboard}


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
        "chart": chart_context(term, today, row_scope) if term else None,
    }


def _stat_cards(term: Term | None, seats: SeatTotals, courses_with_seats: list[CourseSeats]) -> list[StatCard]:
    courses = {"is_active__exact": 1, **term_filter(term)}
    enrollments = {f"course__{name}": value for name, value in courses.items()}
    full = sum(course.seats.free == 0 for course in courses_with_seats)
    return [
        StatCard(
            seats.taken,
            pgettext("how many are", "enrolled"),
            changelist_url(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
        ),
        StatCard(seats.free, _("free seats"), changelist_url(Course, seats="free", **courses)),
        StatCard(
            seats.waiting,
            _("waitlisted"),
            changelist_url(StudentCourse, status__exact=Status.WAITLISTED, **enrollments),
        ),
        StatCard(full, _("full courses"), changelist_url(Course, seats="full", **courses)),
    ]


def _course_alerts(courses_with_seats: list[CourseSeats]) -> list[StatCard]:
    over = sum(course.is_over for course in courses_with_seats)
    stuck = sum(course.is_waitlist_stuck for course in courses_with_seats)
    return [
        StatCard(
            over,
            ngettext("course over its capacity", "courses over their capacity", over),
            changelist_url(Course, seats="over", is_active__exact=1),
            "error",
            bool(over),
        ),
        StatCard(
            stuck,
            ngettext("waitlist with free seats", "waitlists with free seats", stuck),
            changelist_url(Course, seats="held_up", is_active__exact=1),
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
            changelist_url(Import, state__exact=State.NEEDS_REVIEW),
            "approval",
            bool(pending),
        ),
        StatCard(
            failed,
            ngettext("import with errors in the last 7 days", "imports with errors in the last 7 days", failed),
            changelist_url(Import, state__in=states, created_at__date__gte=since),
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
        changelist_url(RefusedAct, **day),
        "block",
        bool(refusals.students),
    )
    reasons = [
        StatCard(number, titles([code]), changelist_url(RefusedAct, reason=code, **day))
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
        courses = {"is_active__exact": 1, **term_filter(term_seats.term), **level_filter}
        enrollments = {f"course__{name}": value for name, value in courses.items()}
        links = {
            "courses": changelist_url(Course, **courses),
            "taken": changelist_url(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
            "free": changelist_url(Course, seats="free", **courses),
            "waiting": changelist_url(StudentCourse, status__exact=Status.WAITLISTED, **enrollments),
        }
        title = str(Level(level).label) if level else (term_seats.term.name if term_seats.term else _("Without a term"))
        rows.append(SeatRow(title, seats, links, is_total=not level))
    return rows
