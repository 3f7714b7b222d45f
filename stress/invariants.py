"""
Invariants of all enrollments, checked from the rows and the journal alone.

The checks share no code with School's rules, so that a mistake there is found here. A change of an enrollment locks its
course, so within a course the ids of journal entries are in the order of the changes.
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

# The capacity and the waitlist capacity of a course when a journal entry was written; None: no limit.
Limits = Callable[[EnrollmentEvent], tuple[int | None, int | None]]


def current_limits(event: EnrollmentEvent) -> tuple[int | None, int | None]:
    """Return the limits of a course whose limits never changed."""
    course = event.enrollment.course
    return course.capacity, course.waitlist_capacity


def violations(limits: Limits = current_limits) -> list[str]:
    """Return a sentence for each violated invariant. The database must have no other writers."""
    return [
        *duplicate_open_enrollments(),
        *waiting_despite_free_seats(),
        *rows_that_differ_from_journal(),
        *seats_against_limits_or_order(limits),
    ]


def duplicate_open_enrollments() -> Iterator[str]:
    """Return a sentence for each student with several open enrollments in a course."""
    pairs = StudentCourse.objects.open().order_by().values_list("student", "course").annotate(count=Count("pk"))
    for student_id, course_id, count in pairs.filter(count__gt=1):
        yield f"Student {student_id} has {count} open enrollments in course {course_id}."


def waiting_despite_free_seats() -> Iterator[str]:
    """Return a sentence for each student that waits although the rules allow a free seat."""
    taken = Counter(StudentCourse.objects.enrolled().order_by().values_list("course", flat=True))
    for waiter, reasons in waiting_enrollments():
        capacity = waiter.course.capacity
        if not reasons and (capacity is None or taken[waiter.course_id] < capacity):
            yield f"Enrollment {waiter.pk} waits for course {waiter.course_id}, which has a free seat."


def waiting_enrollments() -> Iterator[tuple[StudentCourse, set[str]]]:
    """Yield waitlisted enrollments by course and position, each with the reasons that prevent a seat now."""
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


def rows_that_differ_from_journal() -> Iterator[str]:
    """Return a sentence for each enrollment whose journal does not lead to its row."""
    journal = Prefetch("events", EnrollmentEvent.objects.order_by("pk"))
    for row in StudentCourse.objects.order_by("pk").prefetch_related(journal):
        try:
            made = replay(row.events.all())
        except ValueError as error:
            yield f"The journal of enrollment {row.pk} does not hang together: {error}"
            continue
        if made != replayable_snapshot(row):
            yield f"Enrollment {row.pk} is {replayable_snapshot(row)}, by its journal {made}."


def seats_against_limits_or_order(limits: Limits = current_limits) -> Iterator[str]:
    """
    Return a sentence for each seat or waitlist place that was given above the limits or not in the order of arrival.
    """
    entries = EnrollmentEvent.objects.select_related("enrollment__course").order_by("enrollment__course", "pk")
    for _course, events in groupby(entries, attrgetter("enrollment.course_id")):
        course = _Course(limits)
        for event in events:
            yield from course.follow(event)


def lost_enrollments(enrollment_ids: Iterable[int]) -> list[str]:
    """Return a sentence for each enrollment in a response that does not exist."""
    existing = set(StudentCourse.objects.values_list("pk", flat=True))
    return [f"Enrollment {pk} was answered and is not there." for pk in sorted(set(enrollment_ids) - existing)]


def wrong_counts(course: Course, *, enrolled: int, waiting: int) -> list[str]:
    """Return a sentence for each status whose number of students in the course is not the expected one."""
    found = Counter(course.enrollments.open().order_by().values_list("status", flat=True))
    expected = {Status.ENROLLED.value: enrolled, Status.WAITLISTED.value: waiting}
    return [
        f"Course {course.pk} has {found[status]} {status}, not {count}."
        for status, count in expected.items()
        if found[status] != count
    ]


@dataclass
class _Course:
    """The state of a course during a replay of its journal: enrolled, waiting with their places, and passed over."""

    limits: Limits
    seated: set[int] = field(default_factory=set)
    waiting: dict[int, tuple[datetime, int]] = field(default_factory=dict)
    passed_over: set[int] = field(default_factory=set)

    def follow(self, event: EnrollmentEvent) -> Iterator[str]:
        """Apply a journal entry, and yield the violations."""
        pk = event.enrollment_id
        if event.action == Action.PASS_OVER:
            self.passed_over.add(pk)
            return
        if event.to_status == Status.ENROLLED and pk not in self.seated:
            yield from self._check_seat(event)
        if event.to_status == Status.WAITLISTED and event.action == Action.ENROLL:
            yield from self._check_waitlist_place(event)
        self.seated.discard(pk)
        self.waiting.pop(pk, None)
        if event.to_status == Status.ENROLLED:
            self.seated.add(pk)
        elif event.to_status == Status.WAITLISTED:
            self.waiting[pk] = _place(event)

    def _check_seat(self, event: EnrollmentEvent) -> Iterator[str]:
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

    def _check_waitlist_place(self, event: EnrollmentEvent) -> Iterator[str]:
        _capacity, places = self.limits(event)
        if places is not None and len(self.waiting) >= places:
            yield f"Entry {event.pk} gives a place in line of which all {places} are taken."
        if any(place > _place(event) for place in self.waiting.values()):
            yield f"Entry {event.pk} gives a place in line before somebody who was there."


def _place(event: EnrollmentEvent) -> tuple[datetime, int]:
    """Return the waitlist sort key of an enrollment, which is constant while it waits."""
    return event.enrollment.waitlisted_at or event.at, event.enrollment_id
