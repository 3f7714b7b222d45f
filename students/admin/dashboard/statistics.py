"""
Statistics for the registrar's home page: seats, waitlists, enrollments by day, imports and refusals.

They are computed on request, within the caller's limits, in a number of queries that does not depend on the number of
rows.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone

from bulk.models import Import, State
from courses.lookup import parse_course_key
from courses.models import Course, Level, Term, format_key
from school.access.row_scope import RowScope, filter_by_scope, row_scope_of_staff
from students.models import LEFT_STATUSES, RefusedAct, Status, StudentCourse
from students.seats import Seats

FAILED_STATES = (State.FAILED, State.DONE_WITH_ERRORS, State.PARTLY_UNDONE)
MAX_LEAD = timedelta(days=120)


@dataclass(frozen=True, slots=True)
class CourseSeats:
    """An active course and its seats."""

    id: int
    key: str
    name: str
    level: str
    term_id: int | None
    seats: Seats

    @property
    def code(self) -> str:
        return self.key.partition("@")[0]

    @property
    def section(self) -> str:
        return parse_course_key(self.key).section

    @property
    def is_over(self) -> bool:
        return self.seats.over > 0

    @property
    def is_waitlist_stuck(self) -> bool:
        """
        Return True if a student is on the waitlist although a seat is free.

        The enrollment window is closed, or the rules refuse the next student.
        """
        return self.seats.waiting > 0 and self.seats.free != 0

    @property
    def fill(self) -> float:
        """The ratio of taken seats to capacity, above 1 if it is exceeded; 0 without a limit or seats."""
        return self.seats.taken / self.seats.capacity if self.seats.capacity else 0.0


@dataclass(slots=True)
class SeatTotals:
    """
    The seats of several courses.

    ``capacity``, ``limited_taken`` and ``free`` cover courses with a limit; ``unlimited`` counts the other courses.
    """

    courses: int = 0
    capacity: int = 0
    taken: int = 0
    limited_taken: int = 0
    free: int = 0
    waiting: int = 0
    unlimited: int = 0

    def add(self, seats: Seats) -> None:
        self.courses += 1
        self.taken += seats.taken
        self.waiting += seats.waiting
        if seats.capacity is None:
            self.unlimited += 1
        else:
            self.capacity += seats.capacity
            self.limited_taken += seats.taken
            self.free += seats.free or 0


@dataclass
class TermSeats:
    """The seats of a term, or of the courses without a term: in total and by level."""

    term: Term | None
    total: SeatTotals = field(default_factory=SeatTotals)
    by_level: dict[str, SeatTotals] = field(default_factory=dict)

    def add(self, course: CourseSeats) -> None:
        self.total.add(course.seats)
        self.by_level.setdefault(course.level, SeatTotals()).add(course.seats)


@dataclass(frozen=True, slots=True)
class DailyCount:
    day: date
    enrolled: int
    left: int


@dataclass(frozen=True, slots=True)
class RefusalSummary:
    """The refusals of a day: the number of refused students, and of refusals by code, most frequent first."""

    students: int
    by_code: list[tuple[str, int]]


def current_and_upcoming_terms(today: date, row_scope: RowScope | None = None) -> list[Term]:
    """Return the terms that have not ended, earliest first; the newest term if all have ended."""
    terms = filter_by_scope(Term.objects.all(), row_scope)
    upcoming = list(terms.filter(ends_on__gte=today).order_by("starts_on", "code"))
    return upcoming or list(terms.order_by("-starts_on")[:1])


def current_term(terms: Iterable[Term], today: date) -> Term | None:
    """
    Return the current term; of several, the one that began last.

    ``terms`` are in the order of ``current_and_upcoming_terms``. If none is current, return the first of them, or None.
    """
    terms = list(terms)
    started = [term for term in terms if term.starts_on <= today <= term.ends_on]
    return started[-1] if started else (terms[0] if terms else None)


def running_term_filter(request: HttpRequest, field: str) -> dict[str, Any]:
    """Return the filter of an admin list for the running term that the user may see; empty if no term is running."""
    today = timezone.localdate()
    term = current_term(current_and_upcoming_terms(today, row_scope_of_staff(request.user)), today)
    return {f"{field}__id__exact": term.pk} if term and term.starts_on <= today <= term.ends_on else {}


def active_course_seats(row_scope: RowScope | None = None) -> list[CourseSeats]:
    """Return every active course with its seats, ordered by code, in two queries."""
    counts: dict[tuple[int, str], int] = {}
    for course_id, status, number in (
        filter_by_scope(StudentCourse.objects.open(), row_scope)
        .order_by()
        .values_list("course", "status")
        .annotate(Count("pk"))
    ):
        counts[course_id, status] = number
    rows = filter_by_scope(Course.objects.filter(is_active=True), row_scope).order_by("code", "pk")
    return [
        CourseSeats(
            course_id,
            format_key(code, term or "", section),
            name,
            level,
            term_id,
            Seats(capacity, counts.get((course_id, Status.ENROLLED), 0), counts.get((course_id, Status.WAITLISTED), 0)),
        )
        for course_id, code, section, name, level, capacity, term_id, term in rows.values_list(
            "pk", "code", "section", "name", "level", "capacity", "term", "term__code"
        )
    ]


def seats_by_term(terms: Iterable[Term], courses_with_seats: Iterable[CourseSeats]) -> list[TermSeats]:
    """Return the seats by term, in total and by level; last those of courses without a term. Omit empty ones."""
    by_term: dict[int | None, TermSeats] = {term.pk: TermSeats(term) for term in terms}
    by_term[None] = TermSeats(None)
    for course in courses_with_seats:
        if course.term_id in by_term:
            by_term[course.term_id].add(course)
    for each in by_term.values():
        each.by_level = {level: each.by_level[level] for level in Level.values if level in each.by_level}
    return [each for each in by_term.values() if each.total.courses]


def fullest(courses_with_seats: Iterable[CourseSeats], limit: int) -> list[CourseSeats]:
    """Return at most ``limit`` courses, the fullest first; of equally full ones, the longest waitlist first."""
    limited = [course for course in courses_with_seats if course.seats.capacity]
    return sorted(limited, key=lambda course: (-course.fill, -course.seats.waiting, course.key))[:limit]


def daily_counts(term: Term, today: date, row_scope: RowScope | None = None) -> list[DailyCount]:
    """
    Return the numbers of enrollments and departures for each day of a term so far, from the first enrollment.

    A student that enrolled and left later counts in both. Days more than ``MAX_LEAD`` before or after the term are left
    out.
    """
    courses = filter_by_scope(Course.objects.filter(term=term), row_scope).values("pk")
    of_term = StudentCourse.objects.filter(course__in=courses).order_by()
    enrolled = dict(of_term.filter(enrolled_on__isnull=False).values_list("enrolled_on").annotate(Count("pk")))
    left = dict(of_term.filter(status__in=LEFT_STATUSES).values_list("ended_on").annotate(Count("pk")))
    days: list[Any] = [*enrolled, *left]
    if not days:
        return []
    first = max(min(days), term.starts_on - MAX_LEAD)
    last = min(max(*days, min(today, term.ends_on)), term.ends_on + MAX_LEAD)
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [DailyCount(day, enrolled.get(day, 0), left.get(day, 0)) for day in span]


def imports_by_state(since: date, row_scope: RowScope | None = None) -> Counter[str]:
    """Count imports by state: all that need approval, and those since a day that failed or had errors."""
    is_relevant = Q(state=State.NEEDS_REVIEW) | Q(state__in=FAILED_STATES, created_at__date__gte=since)
    imports = filter_by_scope(Import.objects.filter(is_relevant), row_scope)
    return Counter(dict(imports.order_by().values_list("state").annotate(Count("pk"))))


def refusals_on(day: date, row_scope: RowScope | None = None) -> RefusalSummary:
    """Summarize the refusals of a day: the most frequent code first, equally frequent codes in alphabetical order."""
    refusals = filter_by_scope(RefusedAct.objects.filter(day=day), row_scope).order_by()
    students = refusals.aggregate(students=Count("student", distinct=True))["students"]
    by_code: Counter[str] = Counter()
    for codes, number in refusals.values_list("codes").annotate(Count("pk")):
        for code in codes.split():
            by_code[code] += number
    return RefusalSummary(students, sorted(by_code.items(), key=lambda item: (-item[1], item[0])))
