"""
Invariants of all enrollments, checked from the rows and the journal alone.

The checks share no code with School's rules, so that a mistake there is found here. A change of an enrollment locks its
course, so within a course the ids of journal entries are in the order of the changes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import combinations, groupby
from operator import attrgetter
from typing import Any

from django.db.models import Count, Prefetch
from django.utils import timezone

from courses.models import Course, Grade
from students.events.journal import replay, replayable_snapshot
from students.models import Action, EnrollmentEvent, Hold, Status, Student, StudentCourse

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
    grades = {grade.code: grade for grade in Grade.objects.all()}
    passed: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for student_id, code, grade in StudentCourse.objects.completed().values_list("student", "course__code", "grade"):
        passed[student_id].append((code, grade))
    waivers = EnrollmentEvent.objects.filter(action=Action.ENROLL, to_status=Status.WAITLISTED).exclude(waived=[])
    waived = dict(waivers.values_list("enrollment", "waived"))
    taken = credits_taken()
    held = open_enrollments()
    holds = Hold.objects.open_by_student(set(StudentCourse.objects.waitlisted().values_list("student", flat=True)))
    now, today = timezone.now(), timezone.localdate()
    for waiter in StudentCourse.objects.in_waitlist_order().select_related("student", "course__term"):
        course = waiter.course
        # The rules are asked as if the student had left the course that a swap ends.
        left = next((row for row in held[waiter.student_id] if is_left_by(waiter, row)), None)
        others = [row for row in held[waiter.student_id] if row.pk not in (waiter.pk, left and left.pk)]
        seated = [row.course for row in others if row.status == Status.ENROLLED]
        freed = left.course.credits if left and left.course.term_id == course.term_id else None
        is_against = {
            "student_inactive": not waiter.student.is_active,
            "on_hold": any(hold.applies_to(course.term_id, today) for hold in holds.get(waiter.student_id, ())),
            "course_inactive": not course.is_active,
            "enrollment_not_open": course.enrollment_opens_at is not None and now < course.enrollment_opens_at,
            "enrollment_closed": course.enrollment_closes_at is not None and now >= course.enrollment_closes_at,
            "term_ended": course.term is not None and today > course.term.ends_on,
            "prerequisite_missing": not all(
                _is_met(item, passed[waiter.student_id], grades) for item in course.prerequisites
            ),
            "corequisite_missing": not all(
                _is_met(code, passed[waiter.student_id], grades)
                or (code, course.term_id) in ((each.code, each.term_id) for each in seated)
                for code in course.corequisites
            ),
            "time_conflict": any(_meet_together(course, other) for other in seated),
            "other_section": any(is_other_section(row, waiter) for row in others),
            "too_many_credits": _exceeds(
                taken[waiter.student_id, course.term_id] - (freed or 0), waiter.student, course
            ),
        }
        yield waiter, {code for code, is_so in is_against.items() if is_so} - set(waived.get(waiter.pk, ()))


def open_enrollments() -> dict[int, list[StudentCourse]]:
    """Return the open enrollments by the id of the student."""
    held: dict[int, list[StudentCourse]] = defaultdict(list)
    for row in StudentCourse.objects.open().select_related("course__term").order_by("pk"):
        held[row.student_id].append(row)
    return held


def is_left_by(waiter: StudentCourse, row: StudentCourse) -> bool:
    """Return True if the student leaves the seat of ``row`` for the one that the student waits for."""
    return row.status == Status.ENROLLED and row.course_id == waiter.instead_of_id


def is_other_section(row: StudentCourse, other: StudentCourse) -> bool:
    """Return True if two enrollments are in different sections of a course in the same term."""
    own, different = row.course, other.course
    return (own.code, own.term_id) == (different.code, different.term_id) and own.pk != different.pk


def credits_taken() -> dict[tuple[int, int | None], Decimal]:
    """Return the credits of enrolled and completed courses by the ids of student and term."""
    taken: dict[tuple[int, int | None], Decimal] = defaultdict(Decimal)
    rows = StudentCourse.objects.filter(status__in=(Status.ENROLLED, Status.COMPLETED), course__credits__gt=0)
    for student_id, term_id, number in rows.order_by().values_list("student", "course__term", "course__credits"):
        taken[student_id, term_id] += number
    return taken


def students_in_two_places() -> Iterator[tuple[int, Course, Course]]:
    """Yield the students who have seats in two courses that meet at the same time, with these courses."""
    for student_id, rows in open_enrollments().items():
        for first, second in combinations([row.course for row in rows if row.status == Status.ENROLLED], 2):
            if _meet_together(first, second):
                yield student_id, first, second


def _meet_together(first: Course, second: Course) -> bool:
    """Return True if two courses meet at the same time; of their meetings only those without dates are known."""
    if first.term and second.term:
        terms = first.term, second.term
        if min(term.ends_on for term in terms) < max(term.starts_on for term in terms):
            return False
    return first.pk != second.pk and any(
        one["day"] == other["day"] and one["from"] < other["to"] and other["from"] < one["to"]
        for one in first.meetings
        for other in second.meetings
    )


def _exceeds(taken: Decimal, student: Student, course: Course) -> bool:
    """Return True if the credits of the course are too many for the student, who has taken some in its term."""
    if not course.term or not course.credits:
        return False
    maximum = course.term.max_credits if student.max_credits is None else student.max_credits
    return maximum is not None and taken + course.credits > maximum


def _is_met(item: Any, completions: list[tuple[str, str]], grades: dict[str, Grade]) -> bool:
    """Return True if one of the completions, which are codes and grades, meets an item of prerequisites."""
    minimum = grades.get(item["grade"]) if isinstance(item, dict) else None
    codes = [item["course"]] if isinstance(item, dict) else item if isinstance(item, list) else [item]
    for code, name in completions:
        grade = grades.get(name)
        if code in codes and (not grades or (not name and not minimum)):
            return True
        if code in codes and grade and grade.passes and (not minimum or (grade.rank or -1) >= (minimum.rank or 0)):
            return True
    return False


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
        if event.to_status == Status.WAITLISTED and event.action == Action.ENROLL and pk not in self.waiting:
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
