"""
What must be true of every register of enrollments, found out from the rows and the journal alone.

It is said here in other words than School decides by, so that a mistake there does not hide itself here. Courses are
locked by whoever changes their enrollments, so within a course the ids of the journal are the order of what happened.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.db.models import Count, Prefetch
from django.utils import timezone

from courses.models import Course
from students.events.log import replay, replayable_snapshot
from students.models import Action, EnrollmentEvent, Status, StudentCourse

COURSE_FULL = "course_full"

# How many seats and how many places in line a course had when an entry of the journal was written; None: no limit.
Limits = Callable[[EnrollmentEvent], tuple[int | None, int | None]]


def limits_of_today(event: EnrollmentEvent) -> tuple[int | None, int | None]:
    """The limits of a course that never had others."""
    course = event.enrollment.course
    return course.capacity, course.waitlist_capacity


def violations(limits: Limits = limits_of_today) -> list[str]:
    """Return a sentence for everything that is not as it must be, in a database that nobody writes to meanwhile."""
    return [*double_places(), *kept_waiting(), *rows_unlike_their_journal(), *out_of_turn(limits)]


def double_places() -> Iterator[str]:
    """At most one open enrollment of a student in a course."""
    pairs = StudentCourse.objects.open().order_by().values_list("student", "course").annotate(count=Count("pk"))
    for student_id, course_id, count in pairs.filter(count__gt=1):
        yield f"Student {student_id} has {count} open enrollments in course {course_id}."


def kept_waiting() -> Iterator[str]:
    """Nobody waits while a seat is free and nothing stands against them."""
    taken = Counter(StudentCourse.objects.enrolled().order_by().values_list("course", flat=True))
    for waiter, reasons in who_waits():
        capacity = waiter.course.capacity
        if not reasons and (capacity is None or taken[waiter.course_id] < capacity):
            yield f"Enrollment {waiter.pk} waits for course {waiter.course_id}, which has a free seat."


def who_waits() -> Iterator[tuple[StudentCourse, set[str]]]:
    """Yield who waits, course by course in their order, and what stands against giving each a seat now."""
    completed = set(StudentCourse.objects.completed().order_by().values_list("student", "course__code"))
    waivers = EnrollmentEvent.objects.filter(action=Action.ENROLL, to_status=Status.WAITLISTED).exclude(waived=[])
    waived = dict(waivers.values_list("enrollment", "waived"))
    now, today = timezone.now(), timezone.localdate()
    for waiter in StudentCourse.objects.in_waitlist_order().select_related("student", "course__term"):
        course = waiter.course
        is_against = {
            "student_inactive": not waiter.student.is_active,
            "course_inactive": not course.is_active,
            "enrollment_not_open": course.enrollment_opens_at is not None and now < course.enrollment_opens_at,
            "enrollment_closed": course.enrollment_closes_at is not None and now >= course.enrollment_closes_at,
            "term_ended": course.term is not None and today > course.term.ends_on,
            "prerequisite_missing": not all((waiter.student_id, code) in completed for code in course.prerequisites),
        }
        yield waiter, {code for code, is_so in is_against.items() if is_so} - set(waived.get(waiter.pk, ()))


def rows_unlike_their_journal() -> Iterator[str]:
    """The journal of an enrollment makes its row, from nothing."""
    journal = Prefetch("events", EnrollmentEvent.objects.order_by("pk"))
    for row in StudentCourse.objects.order_by("pk").prefetch_related(journal):
        try:
            made = replay(row.events.all())
        except ValueError as error:
            yield f"The journal of enrollment {row.pk} does not hang together: {error}"
            continue
        if made != replayable_snapshot(row):
            yield f"Enrollment {row.pk} is {replayable_snapshot(row)}, by its journal {made}."


def out_of_turn(limits: Limits = limits_of_today) -> Iterator[str]:
    """Seats and places in line were given within the limits, and to who came first."""
    entries = EnrollmentEvent.objects.select_related("enrollment__course").order_by("enrollment__course", "pk")
    for _course, events in groupby(entries, attrgetter("enrollment.course_id")):
        course = _Course(limits)
        for event in events:
            yield from course.follow(event)


def missing(enrollment_ids: Iterable[int]) -> list[str]:
    """Return a sentence for each enrollment that somebody was told of and that is not there."""
    there = set(StudentCourse.objects.values_list("pk", flat=True))
    return [f"Enrollment {pk} was answered and is not there." for pk in sorted(set(enrollment_ids) - there)]


def misfilled(course: Course, *, enrolled: int, waiting: int) -> list[str]:
    """Return a sentence where a course does not have exactly so many students enrolled and waiting."""
    found = Counter(course.enrollments.open().order_by().values_list("status", flat=True))
    expected = {Status.ENROLLED.value: enrolled, Status.WAITLISTED.value: waiting}
    return [
        f"Course {course.pk} has {found[status]} {status}, not {count}."
        for status, count in expected.items()
        if found[status] != count
    ]


@dataclass
class _Course:
    """A course as its journal goes along: who is seated, who waits since when, and of whom it told why not."""

    limits: Limits
    seated: set[int] = field(default_factory=set)
    waiting: dict[int, tuple[datetime, int]] = field(default_factory=dict)
    passed_over: set[int] = field(default_factory=set)

    def follow(self, event: EnrollmentEvent) -> Iterator[str]:
        """Note what an entry says, and yield what should not have happened."""
        pk = event.enrollment_id
        if event.action == Action.PASS_OVER:
            self.passed_over.add(pk)
            return
        if event.to_status == Status.ENROLLED and pk not in self.seated:
            yield from self._objections_to_seat(event)
        if event.to_status == Status.WAITLISTED and event.action == Action.ENROLL:
            yield from self._objections_to_place(event)
        self.seated.discard(pk)
        self.waiting.pop(pk, None)
        if event.to_status == Status.ENROLLED:
            self.seated.add(pk)
        elif event.to_status == Status.WAITLISTED:
            self.waiting[pk] = _place(event)

    def _objections_to_seat(self, event: EnrollmentEvent) -> Iterator[str]:
        capacity, _places = self.limits(event)
        if COURSE_FULL in event.waived:
            return
        if capacity is not None and len(self.seated) >= capacity:
            yield f"Entry {event.pk} gives a seat of which all {capacity} are taken."
        if event.action == Action.ENROLL and self.waiting:
            yield f"Entry {event.pk} gives a newcomer a seat for which somebody waits: {sorted(self.waiting)}."
        ahead = {pk for pk, place in self.waiting.items() if place < _place(event)} - self.passed_over
        if event.action == Action.PROMOTE and ahead:
            yield f"Entry {event.pk} gives a seat before those who came first: {sorted(ahead)}."

    def _objections_to_place(self, event: EnrollmentEvent) -> Iterator[str]:
        _capacity, places = self.limits(event)
        if places is not None and len(self.waiting) >= places:
            yield f"Entry {event.pk} gives a place in line of which all {places} are taken."
        if any(place > _place(event) for place in self.waiting.values()):
            yield f"Entry {event.pk} gives a place in line before somebody who was there."


def _place(event: EnrollmentEvent) -> tuple[datetime, int]:
    """Return the place in line of who waits or has waited; none moves while they wait."""
    return event.enrollment.waitlisted_at or event.at, event.enrollment_id
