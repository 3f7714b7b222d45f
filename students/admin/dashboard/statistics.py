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

from bulk.models import Import, State
from courses.models import Course, Level, Term
from school.access.row_scope import RowScope, filter_by_scope
from students.models import LEFT_STATUSES, RefusedAct, Status, StudentCourse
from students.seats import Seats

WENT_WRONG = (State.FAILED, State.DONE_WITH_ERRORS, State.PARTLY_UNDONE)
EARLIEST = timedelta(days=120)


@dataclass(frozen=True, slots=True)
class Offer:
    """An active course and its seats."""

    id: int
    key: str
    name: str
    level: str
    term_id: int | None
    seats: Seats

    @property
    def is_over(self) -> bool:
        return self.seats.over > 0

    @property
    def is_held_up(self) -> bool:
        """
        Return True if a student waits although a seat is free.

        The enrollment window is closed, or the rules refuse the next student.
        """
        return self.seats.waiting > 0 and self.seats.free != 0

    @property
    def fill(self) -> float:
        """The ratio of taken seats to capacity, above 1 if it is exceeded; 0 without a limit or seats."""
        return self.seats.taken / self.seats.capacity if self.seats.capacity else 0.0


@dataclass(slots=True)
class Sum:
    """
    The seats of several courses.

    ``capacity``, ``taken_of_limited`` and ``free`` cover courses with a limit; ``unlimited`` counts the other courses.
    """

    courses: int = 0
    capacity: int = 0
    taken: int = 0
    taken_of_limited: int = 0
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
            self.taken_of_limited += seats.taken
            self.free += seats.free or 0


@dataclass
class TermSeats:
    """The seats of a term, or of the courses without a term: in total and by level."""

    term: Term | None
    all: Sum = field(default_factory=Sum)
    by_level: dict[str, Sum] = field(default_factory=dict)

    def add(self, offer: Offer) -> None:
        self.all.add(offer.seats)
        self.by_level.setdefault(offer.level, Sum()).add(offer.seats)


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    enrolled: int
    left: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The refusals of a day: the number of students, and the number of refusals by code, most frequent first."""

    people: int
    by_code: list[tuple[str, int]]


def terms_to_look_at(today: date, row_scope: RowScope | None = None) -> list[Term]:
    """Return the terms that have not ended, earliest first; the newest term if all have ended."""
    terms = filter_by_scope(Term.objects.all(), row_scope)
    coming = list(terms.filter(ends_on__gte=today).order_by("starts_on", "code"))
    return coming or list(terms.order_by("-starts_on")[:1])


def running(terms: Iterable[Term], today: date) -> Term | None:
    """
    Return the current term; of several, the one that began last.

    ``terms`` are in the order of ``terms_to_look_at``. If none is current, return the first of them, or None.
    """
    terms = list(terms)
    begun = [term for term in terms if term.starts_on <= today <= term.ends_on]
    return begun[-1] if begun else (terms[0] if terms else None)


def offers(row_scope: RowScope | None = None) -> list[Offer]:
    """Return every active course with its seats, ordered by code, in two queries."""
    counted: dict[tuple[int, str], int] = {}
    for course_id, status, number in (
        filter_by_scope(StudentCourse.objects.open(), row_scope)
        .order_by()
        .values_list("course", "status")
        .annotate(Count("pk"))
    ):
        counted[course_id, status] = number
    rows = filter_by_scope(Course.objects.filter(is_active=True), row_scope).order_by("code", "pk")
    return [
        Offer(
            course_id,
            f"{code}@{term}" if term else code,
            name,
            level,
            term_id,
            Seats(
                capacity, counted.get((course_id, Status.ENROLLED), 0), counted.get((course_id, Status.WAITLISTED), 0)
            ),
        )
        for course_id, code, name, level, capacity, term_id, term in rows.values_list(
            "pk", "code", "name", "level", "capacity", "term", "term__code"
        )
    ]


def seats_by_term(terms: Iterable[Term], offered: Iterable[Offer]) -> list[TermSeats]:
    """Return the seats by term, in total and by level; last those of courses without a term. Omit empty ones."""
    found: dict[int | None, TermSeats] = {term.pk: TermSeats(term) for term in terms}
    found[None] = TermSeats(None)
    for offer in offered:
        if offer.term_id in found:
            found[offer.term_id].add(offer)
    for each in found.values():
        each.by_level = {level: each.by_level[level] for level in Level.values if level in each.by_level}
    return [each for each in found.values() if each.all.courses]


def fullest(offered: Iterable[Offer], most: int) -> list[Offer]:
    """Return the ``most`` fullest courses with a limit; of equally full ones, those with the longest waitlist first."""
    limited = [offer for offer in offered if offer.seats.capacity]
    return sorted(limited, key=lambda offer: (-offer.fill, -offer.seats.waiting, offer.key))[:most]


def by_day(term: Term, today: date, row_scope: RowScope | None = None) -> list[Day]:
    """
    Return the numbers of enrollments and departures for each day of a term so far, from the first enrollment.

    A student that enrolled and left later counts in both. Days more than ``EARLIEST`` before or after the term are left
    out.
    """
    courses = filter_by_scope(Course.objects.filter(term=term), row_scope).values("pk")
    of_term = StudentCourse.objects.filter(course__in=courses).order_by()
    came = dict(of_term.filter(enrolled_on__isnull=False).values_list("enrolled_on").annotate(Count("pk")))
    left = dict(of_term.filter(status__in=LEFT_STATUSES).values_list("ended_on").annotate(Count("pk")))
    days: list[Any] = [*came, *left]
    if not days:
        return []
    first = max(min(days), term.starts_on - EARLIEST)
    last = min(max(*days, min(today, term.ends_on)), term.ends_on + EARLIEST)
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [Day(day, came.get(day, 0), left.get(day, 0)) for day in span]


def imports_by_state(since: date, row_scope: RowScope | None = None) -> Counter[str]:
    """Count imports by state: all that wait for approval, and those since a day that failed or had errors."""
    wanted = Q(state=State.NEEDS_REVIEW) | Q(state__in=WENT_WRONG, created_at__date__gte=since)
    imports = filter_by_scope(Import.objects.filter(wanted), row_scope)
    return Counter(dict(imports.order_by().values_list("state").annotate(Count("pk"))))


def refused_on(day: date, row_scope: RowScope | None = None) -> Refused:
    refusals = filter_by_scope(RefusedAct.objects.filter(day=day), row_scope).order_by()
    people = refusals.aggregate(people=Count("student", distinct=True))["people"]
    by_code: Counter[str] = Counter()
    for codes, number in refusals.values_list("codes").annotate(Count("pk")):
        for code in codes.split():
            by_code[code] += number
    return Refused(people, by_code.most_common())
