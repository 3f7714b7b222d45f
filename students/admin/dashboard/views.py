"""The home page of the admin: figures with links to the lists behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
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
from school.access.row_scope import Limits, limits_of_staff
from school.desk.theme import page
from school.validators import parse_ids
from students.admin.dashboard import statistics
from students.admin.dashboard.statistics import Day, Offer, Sum, TermSeats
from students.models import LEFT, RefusedAct, Status, StudentCourse
from students.templatetags.codes import titles

FULLEST = 10
REASONS = 6
LATELY = timedelta(days=7)
# Links to the audit logs, for users who may see these but no figures.
RECORDS = [
    page(gettext_lazy("Journal"), "", "students.EnrollmentEvent"),
    page(gettext_lazy("Record of access"), "", "school.PersonalDataAccess"),
]
HEIGHT = 100  # of the chart, in its own units; each day has the width 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with a link to the list behind it. ``is_urgent`` marks a number that needs attention."""

    number: int
    label: str
    link: str
    icon: str = ""
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of seats, with links to the lists behind its numbers."""

    title: str
    seats: Sum
    links: Mapping[str, str]
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of the chart. Positions and lengths are text, so that they are not localized with a decimal comma."""

    x: int
    came_at: str
    came_high: str
    left_high: str
    told: str
    link: str


def shown(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the home page with the figures that the user may see."""
    may = request.user.has_perm
    today = timezone.localdate()
    home: dict[str, Any] = {"today": today, "needs": []}
    if may("courses.view_course") and may("students.view_studentcourse"):
        home |= _seats(request, today)
    if may("bulk.view_import"):
        home["needs"] = [*_imports(request, today), *home["needs"]]
    if may("students.view_refusedact"):
        home |= _refused(request, today, home)
    home["records"] = [each for each in RECORDS if each["permission"](request)]
    return {**context, "home": home}


def _list_of(model: Any, **filters: Any) -> str:
    """Return the URL of a list in the admin."""
    address = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def _seats(request: HttpRequest, today: date) -> dict[str, Any]:
    limits = limits_of_staff(request.user)
    terms = statistics.terms_to_look_at(today, limits)
    asked = parse_ids(request.GET.get("term", ""))
    chosen = next((term for term in terms if term.pk in asked), statistics.running(terms, today))
    offered = statistics.offers(limits)
    of_term = [offer for offer in offered if offer.term_id == (chosen.pk if chosen else None)]
    by_term = statistics.seats_by_term(terms, offered)
    summed = next((each.all for each in by_term if each.term == chosen), Sum())
    return {
        "terms": terms,
        "term": chosen,
        "figures": _figures(chosen, summed, of_term),
        "needs": _of_courses(offered),
        "rows": [row for each in by_term for row in _rows(each)],
        "fullest": [(offer, reverse("admin:courses_course_change", args=[offer.id])) for offer in _top(of_term)],
        "chart": _chart(chosen, today, limits) if chosen else None,
    }


def _top(of_term: list[Offer]) -> list[Offer]:
    return statistics.fullest(of_term, FULLEST)


def _of(term: Term | None, prefix: str = "") -> dict[str, Any]:
    """Return the list filter for a term, or for courses without a term."""
    return {f"{prefix}term__id__exact": term.pk} if term else {f"{prefix}term__isnull": "True"}


def _figures(term: Term | None, seats: Sum, offered: list[Offer]) -> list[Figure]:
    courses = {"is_active__exact": 1, **_of(term)}
    enrollments = {f"course__{name}": value for name, value in courses.items()}
    full = sum(offer.seats.free == 0 for offer in offered)
    return [
        Figure(
            seats.taken,
            pgettext("how many are", "enrolled"),
            _list_of(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
        ),
        Figure(seats.free, _("free seats"), _list_of(Course, seats="free", **courses)),
        Figure(seats.waiting, _("waitlisted"), _list_of(StudentCourse, status__exact=Status.WAITLISTED, **enrollments)),
        Figure(full, _("full courses"), _list_of(Course, seats="full", **courses)),
    ]


def _of_courses(offered: list[Offer]) -> list[Figure]:
    over, held_up = sum(offer.is_over for offer in offered), sum(offer.is_held_up for offer in offered)
    return [
        Figure(
            over,
            ngettext("course over its capacity", "courses over their capacity", over),
            _list_of(Course, seats="over", is_active__exact=1),
            "error",
            bool(over),
        ),
        Figure(
            held_up,
            ngettext("waitlist with free seats", "waitlists with free seats", held_up),
            _list_of(Course, seats="held_up", is_active__exact=1),
            "hourglass_empty",
            bool(held_up),
        ),
    ]


def _imports(request: HttpRequest, today: date) -> list[Figure]:
    since = today - LATELY
    by_state = statistics.imports_by_state(since, limits_of_staff(request.user))
    waiting = by_state[State.NEEDS_REVIEW]
    wrong = sum(by_state[state] for state in statistics.WENT_WRONG)
    states = ",".join(statistics.WENT_WRONG)
    return [
        Figure(
            waiting,
            ngettext("import needs review", "imports need review", waiting),
            _list_of(Import, state__exact=State.NEEDS_REVIEW),
            "approval",
            bool(waiting),
        ),
        Figure(
            wrong,
            ngettext("import with errors in the last 7 days", "imports with errors in the last 7 days", wrong),
            _list_of(Import, state__in=states, created_at__date__gte=since),
            "report",
            bool(wrong),
        ),
    ]


def _refused(request: HttpRequest, today: date, home: dict[str, Any]) -> dict[str, Any]:
    refused = statistics.refused_on(today, limits_of_staff(request.user))
    day = {"day__gte": today, "day__lt": today + timedelta(days=1)}
    figure = Figure(
        refused.people,
        ngettext("student refused today", "students refused today", refused.people),
        _list_of(RefusedAct, **day),
        "block",
        bool(refused.people),
    )
    reasons = [
        Figure(number, titles([code]), _list_of(RefusedAct, reason=code, **day))
        for code, number in refused.by_code[:REASONS]
    ]
    return {"needs": [*home["needs"], figure], "reasons": reasons, "most_refusals": reasons[0].number if reasons else 0}


def _rows(of_term: TermSeats) -> list[Row]:
    """Return the row of a term, followed by the rows of its levels."""
    levels = [(level, seats, {"level__exact": level}) for level, seats in of_term.by_level.items()]
    everything: list[tuple[str, Sum, dict[str, Any]]] = [("", of_term.all, {}), *levels]
    rows = []
    for level, seats, narrowed in everything:
        courses = {"is_active__exact": 1, **_of(of_term.term), **narrowed}
        enrollments = {f"course__{name}": value for name, value in courses.items()}
        links = {
            "courses": _list_of(Course, **courses),
            "taken": _list_of(StudentCourse, status__exact=Status.ENROLLED, **enrollments),
            "free": _list_of(Course, seats="free", **courses),
            "waiting": _list_of(StudentCourse, status__exact=Status.WAITLISTED, **enrollments),
        }
        title = str(Level(level).label) if level else (of_term.term.name if of_term.term else _("Without a term"))
        rows.append(Row(title, seats, links, is_total=not level))
    return rows


def _chart(term: Term, today: date, limits: Limits | None) -> dict[str, Any] | None:
    """Return the chart of a term: for each day a bar up for enrollments and one down for leaving, on one scale."""
    days = statistics.by_day(term, today, limits)
    if not days:
        return None
    came, left = max(day.enrolled for day in days), max(day.left for day in days)
    unit = HEIGHT / max(came + left, 1)
    return {
        "bars": [_bar(number, day, term, came * unit, unit) for number, day in enumerate(days)],
        "days": [
            {"day": day, "came": link_of_day(day.day, term), "left": link_of_day(day.day, term, left=True)}
            for day in reversed(days)
            if day.enrolled or day.left
        ],
        "width": len(days),
        "height": HEIGHT,
        "base": f"{came * unit:.2f}",
        "first": days[0].day,
        "last": days[-1].day,
        "came": sum(day.enrolled for day in days),
        "left": sum(day.left for day in days),
        "most": came,
    }


def _bar(number: int, day: Day, term: Term, base: float, unit: float) -> Bar:
    told = _("%(day)s: %(came)s enrolled, %(left)s dropped or withdrawn") % {
        "day": date_format(day.day, "SHORT_DATE_FORMAT"),
        "came": day.enrolled,
        "left": day.left,
    }
    came, left = day.enrolled * unit, day.left * unit
    return Bar(number, f"{base - came:.2f}", f"{came:.2f}", f"{left:.2f}", told, link_of_day(day.day, term))


def link_of_day(day: date, term: Term, *, left: bool = False) -> str:
    of_term = _of(term, "course__")
    if left:
        return _list_of(StudentCourse, status__in=",".join(LEFT), ended_on__exact=day, **of_term)
    return _list_of(StudentCourse, enrolled_on__exact=day, **of_term)
