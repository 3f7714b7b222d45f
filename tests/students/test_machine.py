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

from courses.models import Course
from school.refusals import Refused
from stress.invariants import violations, waiting_enrollments
from students.enrollment import (
    complete,
    drop,
    enroll,
    execute,
    execute_atomic,
    lock_waitlisted_courses,
    promote,
    undo,
    undo_batch,
)
from students.enrollment.commands import ActorContext, EnrollmentCommand, OnFull
from students.enrollment.context import SYSTEM_ACTIONS
from students.enrollment.rules import WAIVABLE_CODES
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tools.fuzz import examples

STUDENTS, COURSES = 5, 3
ORIGIN = ActorContext(Channel.SYSTEM, may_waive=True)

student_numbers, course_numbers = st.integers(0, STUDENTS - 1), st.integers(0, COURSES - 1)
grades = st.sampled_from([None, "", "A", "B"])
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
        self.courses = [
            make_course(code="BASIC", capacity=2, waitlist_capacity=2),
            make_course(code="NEXT", capacity=1, waitlist_capacity=3, prerequisites=["BASIC"], term=over),
            make_course(code="OTHER", capacity=1, waitlist_capacity=None),
        ]
        # The limits of every course, by the journal entry from which they applied.
        self.limits = [(0, course.pk, course.capacity, course.waitlist_capacity) for course in self.courses]
        self.seen = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)

    def pair(self, student: int, course: int) -> dict[str, int]:
        return {"student_id": self.students[student].pk, "course_id": self.courses[course].pk}

    def act(self, verb: Any, student: int, course: int, **wishes: Any) -> None:
        """Run a command: an accepted one adds one entry besides the system's own, a refused one adds none."""
        changed = 0
        with suppress(Refused):
            changed = verb(**self.pair(student, course), actor=ORIGIN, **wishes).changed
        assert len([event for event in self.news() if event.action not in SYSTEM_ACTIONS]) == changed

    def news(self) -> list[EnrollmentEvent]:
        """Return the new journal entries of the last step."""
        return list(EnrollmentEvent.objects.filter(pk__gt=self.seen).select_related("enrollment").order_by("pk"))

    @rule(student=student_numbers, course=course_numbers, on_full=on_fulls, waive=waivers)
    def enroll(self, student: int, course: int, on_full: OnFull, waive: frozenset[str]) -> None:
        self.act(enroll, student, course, on_full=on_full, waived_codes=waive, reason="because")

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
        assert len([event for event in self.news() if event.action not in SYSTEM_ACTIONS]) == changed

    @rule(pairs=st.lists(st.tuples(student_numbers, course_numbers), min_size=1, max_size=4))
    def undo_many_as_one(self, pairs: list[tuple[int, int]]) -> None:
        """Undo commands like the undo of an import: freed seats are given at the end."""
        acts = [
            EnrollmentCommand(Action.UNDO, self.students[student].pk, self.courses[course].pk)
            for student, course in pairs
        ]
        undo_batch(acts, ORIGIN)
        promote({act.course_id for act in acts}, actor=ORIGIN)

    @rule(course=course_numbers, edit=edits)
    def change_course(self, course: int, edit: tuple[str, Any]) -> None:
        """Change a course like the API: under its lock, then promote waitlisted students."""
        name, value = edit
        changed = Course.objects.select_for_update(no_key=True).get(pk=self.courses[course].pk)
        setattr(changed, name, [] if name == "prerequisites" and changed.code in value else value)
        changed.save()
        self.limits.append((self.last_entry() + 1, changed.pk, changed.capacity, changed.waitlist_capacity))
        promote([changed.pk], actor=ORIGIN)

    @rule(student=student_numbers, is_active=st.booleans())
    def change_student(self, student: int, is_active: bool) -> None:
        """Change a student like the API: lock the courses that have the student on the waitlist, then promote."""
        waited_for = lock_waitlisted_courses([self.students[student].pk])
        changed = Student.objects.select_for_update(no_key=True).get(pk=self.students[student].pk)
        changed.is_active = is_active
        changed.save()
        promote(waited_for, actor=ORIGIN)

    @rule()
    def promote(self) -> None:
        """A promotion without a preceding change has no effect."""
        assert promote([course.pk for course in self.courses], actor=ORIGIN) == []

    @invariant()
    def invariants_hold(self) -> None:
        assert violations(self.limits_at) == []

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
