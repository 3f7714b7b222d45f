"""Random commands in any order: the invariants hold after every one of them."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from courses.meetings import parse_meetings
from courses.models import Course, Grade
from school.refusals import Refused
from stress.invariants import (
    credits_taken,
    is_other_section,
    open_enrollments,
    students_in_two_places,
    violations,
    waiting_enrollments,
)
from students.enrollment import (
    complete,
    drop,
    enroll,
    execute,
    execute_atomic,
    lock_waitlisted_courses,
    promote,
    promote_by_grades,
    promote_in_changed_courses,
    undo,
    undo_batch,
)
from students.enrollment.actor_context import ActorContext
from students.enrollment.affected_courses import waits_of
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.enrollment.rules import WAIVABLE_CODES
from students.holds import RequestedHold, place_holds, release_holds
from students.models import OPEN_STATUSES, Action, Channel, EnrollmentEvent, Hold, Student, StudentCourse
from tests.support.factories import make_course, make_grades, make_student, make_term
from tools.fuzz import examples

STUDENTS, COURSES = 5, 8
EARLY, LATE = parse_meetings("mon 10:00-11:00"), parse_meetings("mon 10:30-12:00; tue 9:00-10:00")
ORIGIN = ActorContext(Channel.SYSTEM, may_waive=True)
JOINING = (Action.ENROLL, Action.PROMOTE)

student_numbers, course_numbers = st.integers(0, STUDENTS - 1), st.integers(0, COURSES - 1)
grades = st.sampled_from([None, "", "A", "B", "F"])
# Most commands waive nothing.
waivers: st.SearchStrategy[frozenset[str]] = st.one_of(
    st.just(frozenset()), st.frozensets(st.sampled_from(sorted(WAIVABLE_CODES)))
)
on_fulls = st.sampled_from(OnFull)
edits = st.one_of(
    st.tuples(st.just("capacity"), st.sampled_from([0, 1, 1, 2, 2, 3, None])),
    st.tuples(st.just("waitlist_capacity"), st.sampled_from([0, 1, 2, 3, None])),
    st.tuples(st.just("is_active"), st.booleans()),
    st.tuples(st.just("prerequisites"), st.sampled_from([[], ["BASIC"], ["OTHER"]])),
    st.tuples(st.just("meetings"), st.sampled_from([[], EARLY, LATE])),
    st.tuples(st.just("credits"), st.sampled_from([None, 1, 2, 3])),
    st.tuples(st.just("enrollment_closes_at"), st.sampled_from([None, timezone.now() - timedelta(days=1)])),
)


class Registration(RuleBasedStateMachine):
    """Students and staff with a few small courses, so that seats are always scarce."""

    def __init__(self) -> None:
        super().__init__()
        self.run = transaction.atomic()
        self.run.__enter__()
        self.students = [make_student() for _ in range(STUDENTS)]
        over = make_term(drop_deadline="2026-01-02", ends_on="2099-12-31")
        limited = make_term(max_credits=4)
        self.courses = [
            make_course(code="BASIC", capacity=2, waitlist_capacity=2),
            make_course(code="NEXT", capacity=1, waitlist_capacity=3, prerequisites=["BASIC"], term=over),
            make_course(code="OTHER", capacity=1, waitlist_capacity=None, meetings=LATE),
            make_course(code="HEAVY", capacity=2, waitlist_capacity=None, term=limited, credits=3, meetings=EARLY),
            make_course(code="LIGHT", capacity=1, waitlist_capacity=3, term=limited, credits=2),
            make_course(code="LAB", capacity=2, waitlist_capacity=3, term=limited, corequisites=["LIGHT"]),
            make_course(code="SPLIT", capacity=1, waitlist_capacity=None, term=limited, credits=2),
            make_course(code="SPLIT", capacity=2, waitlist_capacity=2, term=limited, section="B"),
        ]
        # The limits of every course, by the journal entry from which they applied.
        self.limits = [(0, course.pk, course.capacity, course.waitlist_capacity) for course in self.courses]
        self.term_ids = {course.pk: course.term_id for course in self.courses}
        self.seen = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)

    def pair(self, student: int, course: int) -> dict[str, int]:
        return {"student_id": self.students[student].pk, "course_id": self.courses[course].pk}

    def act(self, verb: Any, student: int, course: int, **wishes: Any) -> None:
        """
        Run a command: an accepted one adds one entry besides the system's own, a refused one adds none.

        The ends of enrollments for which students waited to swap are the system's own.
        """
        changed = 0
        with suppress(Refused):
            changed = verb(**self.pair(student, course), actor=ORIGIN, **wishes).changed
        assert len(self.requested_news()) == changed

    def requested_news(self) -> list[EnrollmentEvent]:
        """Return the new journal entries that commands asked for."""
        taken = {
            (event.enrollment.student_id, event.pk - 1)
            for event in self.news()
            if event.from_status != "enrolled" == event.to_status
        }
        return [
            event
            for event in self.news()
            if event.action not in SYSTEM_ACTIONS
            and not (event.action == Action.DROP and (event.enrollment.student_id, event.pk) in taken)
        ]

    def news(self) -> list[EnrollmentEvent]:
        """Return the new journal entries of the last step."""
        return list(EnrollmentEvent.objects.filter(pk__gt=self.seen).select_related("enrollment").order_by("pk"))

    @rule(student=student_numbers, course=course_numbers, on_full=on_fulls, waive=waivers)
    def enroll(self, student: int, course: int, on_full: OnFull, waive: frozenset[str]) -> None:
        self.act(enroll, student, course, on_full=on_full, waived_codes=waive, reason="because")

    @rule(student=student_numbers, course=course_numbers, old=course_numbers, on_full=on_fulls, waive=waivers)
    def swap(self, student: int, course: int, old: int, on_full: OnFull, waive: frozenset[str]) -> None:
        """A swap ends the old enrollment if, and only if, it gives a seat in the new one."""
        old_id = self.courses[old].pk
        changed = False
        with suppress(Refused):
            wishes: Any = {"on_full": on_full, "waived_codes": waive, "reason": "because"}
            wishes |= self.pair(student, course)
            changed = enroll(actor=ORIGIN, instead_of=old_id, **wishes).changed
        own = [event for event in self.news() if event.action not in SYSTEM_ACTIONS]
        requested = [event for event in own if event.action == Action.ENROLL]
        assert len(requested) == changed
        if changed and requested[0].to_status == "enrolled":
            assert own[0].action == Action.DROP
            assert own[0].enrollment.course_id in (old_id, *(each.pk for each in self.courses))

    @rule(student=student_numbers, course=course_numbers)
    def drop(self, student: int, course: int) -> None:
        self.act(drop, student, course)

    @rule(student=student_numbers, course=course_numbers, grade=grades)
    def complete(self, student: int, course: int, grade: str | None) -> None:
        self.act(complete, student, course, grade=grade)

    @rule(student=student_numbers, course=course_numbers)
    def undo(self, student: int, course: int) -> None:
        self.act(undo, student, course)

    @rule(
        wishes=st.lists(
            st.tuples(
                st.sampled_from([Action.ENROLL, Action.ENROLL, Action.DROP, Action.COMPLETE, Action.UNDO]),
                student_numbers,
                course_numbers,
                on_fulls,
                waivers,
            ),
            min_size=2,
            max_size=6,
        ),
        all_or_none=st.booleans(),
    )
    def act_in_a_batch(self, wishes: list[tuple[Action, int, int, OnFull, frozenset[str]]], all_or_none: bool) -> None:
        acts = [
            EnrollmentCommand(
                action, self.students[student].pk, self.courses[course].pk, None, "because", on_full, waive
            )
            for action, student, course, on_full, waive in wishes
        ]
        outcomes = execute_atomic(acts, ORIGIN) if all_or_none else execute(acts, ORIGIN)
        is_done = not all_or_none or all(outcome.accepted for outcome in outcomes)
        changed = sum(outcome.changed for outcome in outcomes) if is_done else 0
        assert len(self.requested_news()) == changed

    @rule(pairs=st.lists(st.tuples(student_numbers, course_numbers), min_size=1, max_size=4))
    def undo_many_as_one(self, pairs: list[tuple[int, int]]) -> None:
        """Undo commands like the undo of an import: freed seats are given at the end."""
        acts = [
            EnrollmentCommand(Action.UNDO, self.students[student].pk, self.courses[course].pk)
            for student, course in pairs
        ]
        undo_batch(acts, ORIGIN)
        students = Student.objects.filter(pk__in=[act.student_id for act in acts])
        promote({*(act.course_id for act in acts), *waits_of(students)}, actor=ORIGIN)

    @rule(course=course_numbers, edit=edits)
    def change_course(self, course: int, edit: tuple[str, Any]) -> None:
        """Change a course like the API: under its lock, then promote waitlisted students."""
        name, value = edit
        changed = Course.objects.select_for_update(no_key=True).get(pk=self.courses[course].pk)
        setattr(changed, name, [] if name == "prerequisites" and changed.code in value else value)
        changed.save()
        self.limits.append((self.last_entry() + 1, changed.pk, changed.capacity, changed.waitlist_capacity))
        promote_in_changed_courses([changed.pk], actor=ORIGIN)

    @rule(student=student_numbers, is_active=st.booleans(), max_credits=st.sampled_from([None, None, 2, 5]))
    def change_student(self, student: int, is_active: bool, max_credits: int | None) -> None:
        """Change a student like the API: lock the courses that have the student on the waitlist, then promote."""
        waited_for = lock_waitlisted_courses([self.students[student].pk])
        changed = Student.objects.select_for_update(no_key=True).get(pk=self.students[student].pk)
        changed.is_active = is_active
        changed.max_credits = max_credits  # type: ignore[assignment]  # django-stubs ignores null of subclasses
        changed.save()
        promote(waited_for, actor=ORIGIN)

    @rule(passing=st.sampled_from(["", "A", "AB"]))
    def change_grades(self, passing: str) -> None:
        """Replace the table of grades; an empty one has no grade that fails."""
        Grade.objects.all().delete()
        if passing:
            make_grades(passing, "".join({*"BF"} - {*passing}))
        promote_by_grades(actor=ORIGIN)

    @rule(student=student_numbers, in_term=st.booleans())
    def place_hold(self, student: int, in_term: bool) -> None:
        term_id = self.courses[3].term_id if in_term else None
        place_holds([RequestedHold(self.students[student].pk, "LIBRARY", term_id)], actor=ORIGIN)

    @rule(student=student_numbers)
    def release_holds(self, student: int) -> None:
        open_holds = Hold.objects.open().filter(student=self.students[student])
        release_holds([hold.pk for hold in open_holds], actor=ORIGIN)

    @rule()
    def promote(self) -> None:
        """A promotion without a preceding change has no effect."""
        assert promote([course.pk for course in self.courses], actor=ORIGIN) == []

    @invariant()
    def invariants_hold(self) -> None:
        assert violations(self.limits_at) == []

    @invariant()
    def seats_are_within_the_credits(self) -> None:
        """A student who got a seat without a waiver has no more credits in the term than the maximum."""
        gained = [event for event in self.news() if event.to_status == "enrolled" != event.from_status]
        waived = {event.enrollment.student_id for event in gained if "too_many_credits" in event.waived}
        taken = credits_taken()
        for row in StudentCourse.objects.enrolled().filter(events__in=gained, course__credits__gt=0):
            maximum = row.student.max_credits or (row.course.term.max_credits if row.course.term else None)
            if row.course.term and maximum is not None and row.student_id not in waived:
                assert taken[row.student_id, row.course.term_id] <= maximum

    @invariant()
    def no_student_is_in_two_places(self) -> None:
        """A student who got a seat without a waiver has no other course at the same time."""
        gained = [event for event in self.news() if event.to_status == "enrolled" != event.from_status]
        waived = {event.enrollment.student_id for event in gained if "time_conflict" in event.waived}
        seats = {event.enrollment.key for event in gained if event.enrollment.student_id not in waived}
        for student_id, *courses in students_in_two_places():
            assert seats.isdisjoint((student_id, course.pk) for course in courses)

    @invariant()
    def students_with_holds_get_no_seats(self) -> None:
        """A student who got a seat without a waiver has no hold that concerns the course."""
        for event in self.news():
            is_waived = "on_hold" in event.waived or event.action not in JOINING
            if event.to_status == "enrolled" != event.from_status and not is_waived:
                term_id = self.term_ids[event.enrollment.course_id]
                holds = Hold.objects.open().filter(student=event.enrollment.student_id)
                assert [hold for hold in holds if hold.applies_to(term_id, timezone.localdate())] == []

    @invariant()
    def corequisites_are_taken(self) -> None:
        """A student who got a seat without a waiver takes the corequisites in the same term, or has passed them."""
        gained = [event for event in self.news() if event.to_status == "enrolled" != event.from_status]
        left = {event.enrollment.student_id for event in self.news() if event.from_status == "enrolled"}
        for event in gained:
            row = event.enrollment
            if event.action in JOINING and row.student_id not in left and "corequisite_missing" not in event.waived:
                rows = StudentCourse.objects.filter(student=row.student_id).select_related("course")
                taken = {each.course.code for each in rows if each.status in ("enrolled", "completed")}
                assert {*Course.objects.get(pk=row.course_id).corequisites} <= taken

    @invariant()
    def students_are_in_one_section(self) -> None:
        """A student who joined a section without a waiver is in no other one."""
        news = [event for event in self.news() if event.from_status != event.to_status]
        joined = [event for event in news if event.to_status in OPEN_STATUSES and event.action in JOINING]
        waived = {event.enrollment.student_id for event in self.news() if "other_section" in event.waived}
        held = open_enrollments()
        for row in StudentCourse.objects.open().filter(events__in=joined).select_related("course"):
            if row.student_id not in waived:
                assert [each for each in held[row.student_id] if is_other_section(each, row)] == []

    @invariant()
    def promotions_keep_the_waitlist_order(self) -> None:
        still_waiting = [waiter for waiter, reasons in waiting_enrollments() if not reasons]
        for event in self.news():
            got = event.enrollment
            if event.action == Action.PROMOTE and got.status == event.to_status:
                assert [
                    each for each in still_waiting if each.course_id == got.course_id and waited_longer(each, got)
                ] == []
        self.seen = self.last_entry()

    def limits_at(self, event: EnrollmentEvent) -> tuple[int | None, int | None]:
        course_id = event.enrollment.course_id
        return [each[2:] for each in self.limits if each[1] == course_id and each[0] <= event.pk][-1]

    def last_entry(self) -> int:
        newest = EnrollmentEvent.objects.order_by("pk").last()
        return newest.pk if newest else 0


def waited_longer(waiter: StudentCourse, other: StudentCourse) -> bool:
    assert waiter.waitlisted_at is not None
    assert other.waitlisted_at is not None
    return (waiter.waitlisted_at, waiter.pk) < (other.waitlisted_at, other.pk)


@pytest.mark.django_db
def test_invariants_hold_after_every_step_of_random_commands():
    run_state_machine_as_test(Registration, settings=settings(max_examples=examples(15), stateful_step_count=30))
