"""Swaps: a student takes a course instead of another one, in one step."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from courses.models import Course
from school.refusals import Refused
from stress.invariants import violations
from students.enrollment import drop, enroll, enroll_many, execute, execute_atomic, preview_commands, promote, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from students.verification import differences_from_journal
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def courses():
    """Two courses with one seat each and waitlists."""
    return [make_course(code=code, capacity=1, waitlist_capacity=None) for code in ("OLD", "NEW")]


def codes_of(act, *args, **fields):
    with pytest.raises(Refused) as refused:
        act(*args, **fields)
    return [(refusal.code, refusal.field) for refusal in refused.value.refusals]


def statuses(*students):
    rows = StudentCourse.objects.filter(student__in=students).order_by("pk").select_related("course")
    return [(each.course.code, each.status, each.instead_of_id) for each in rows]


def entries():
    rows = EnrollmentEvent.objects.order_by("pk").select_related("enrollment__course")
    return [(each.enrollment.course.code, each.action, each.from_status, each.to_status) for each in rows]


def swap(student, new, old, actor, **fields):
    return enroll(student_id=student.pk, course_id=new.pk, instead_of=old.pk, actor=actor, **fields)


@pytest.fixture(autouse=True)
def consistent():
    """After each test, the journal and the rows agree, and nobody waits who could have a seat."""
    yield
    assert list(differences_from_journal(lambda _count: None)) == []
    assert violations() == []


def test_a_swap_drops_the_old_course_and_gives_its_seat_on(courses, actor):
    student, waiting, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (waiting.pk, old.pk)], actor=actor, on_full=OnFull.WAITLIST)
    before = EnrollmentEvent.objects.count()

    outcome = swap(student, new, old, replace(actor, request_id="r-1"), reason="moved")

    assert (outcome.changed, outcome.created, outcome.enrollment.course_id) == (True, True, new.pk)
    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]
    assert statuses(waiting) == [("OLD", "enrolled", None)]
    assert entries()[before:] == [
        ("OLD", "drop", "enrolled", "dropped"),
        ("NEW", "enroll", "", "enrolled"),
        ("OLD", "promote", "waitlisted", "enrolled"),
    ]
    told = EnrollmentEvent.objects.order_by("pk")[before : before + 2]
    assert [(each.request_id, each.reason, each.channel) for each in told] == [("r-1", "moved", "system")] * 2


def test_a_repeated_swap_changes_nothing(courses, actor):
    student, (old, new) = make_student(), courses
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)
    swap(student, new, old, actor)

    assert swap(student, new, old, actor).changed is False
    assert len(entries()) == 3


def test_a_refused_swap_changes_nothing_and_the_old_seat_is_kept(courses, actor):
    student, other, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)

    assert codes_of(swap, student, new, old, actor) == [("course_full", None)]
    assert statuses(student) == [("OLD", "enrolled", None)]
    assert len(entries()) == 2


@pytest.mark.parametrize("status", ["never", "waitlisted", "dropped"])
def test_only_a_course_with_a_seat_can_be_swapped(courses, actor, status):
    student, other, (old, new) = make_student(), make_student(), courses
    if status == "waitlisted":
        enroll(student_id=other.pk, course_id=old.pk, actor=actor)
    if status != "never":
        enroll(student_id=student.pk, course_id=old.pk, on_full=OnFull.WAITLIST, actor=actor)
    if status == "dropped":
        drop(student_id=student.pk, course_id=old.pk, actor=actor)

    with pytest.raises(Refused) as refused:
        swap(student, new, old, actor)

    [refusal] = refused.value.refusals
    told = (refusal.code, refusal.field, refusal.message)
    assert told == ("not_enrolled", "instead_of", "This student is not enrolled in OLD.")


def test_a_swap_with_itself_is_refused(courses, actor):
    student, (old, _new) = make_student(), courses
    assert codes_of(swap, student, old, old, actor) == [("swap_with_itself", "instead_of")]

    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    assert ("swap_with_itself", "instead_of") in codes_of(swap, student, old, old, actor)


def test_an_unknown_old_course_is_not_found(courses, actor):
    act = {"student_id": make_student().pk, "course_id": courses[0].pk, "instead_of": 0, "actor": actor}

    assert codes_of(enroll, **act) == [("course_not_found", "instead_of")]


def test_after_the_drop_deadline_the_old_course_is_withdrawn(actor):
    term = make_term(starts_on="2026-01-01", ends_on="2099-12-31", drop_deadline="2026-01-02")
    student, old, new = make_student(), make_course(code="OLD", term=term), make_course(code="NEW", term=term)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    swap(student, new, old, actor)

    assert statuses(student) == [("OLD", "withdrawn", None), ("NEW", "enrolled", None)]


def test_the_rules_are_asked_as_if_the_old_enrollment_were_gone(actor):
    term = make_term(max_credits=4)
    fields = {"code": "M-1", "term": term, "credits": 3}
    student, old, new = make_student(), make_course(section="A", **fields), make_course(section="B", **fields)
    third = make_course(code="M-2", term=term, credits=3)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    codes = codes_of(enroll, student_id=student.pk, course_id=new.pk, actor=actor)
    swap(student, new, old, actor)
    after = codes_of(enroll, student_id=student.pk, course_id=third.pk, actor=actor)

    assert codes == [("other_section", None), ("too_many_credits", None)]
    assert after == [("too_many_credits", None)]
    assert statuses(student) == [("M-1", "dropped", None), ("M-1", "enrolled", None)]


def test_a_refused_swap_still_counts_the_old_course_for_the_rest_of_the_batch(actor):
    term = make_term(max_credits=4)
    student, old, third = (
        make_student(),
        make_course(code="OLD", term=term, credits=3),
        make_course(term=term, credits=3),
    )
    full = make_course(code="NEW", term=term, credits=3, capacity=0)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    commands = [
        EnrollmentCommand(Action.ENROLL, student.pk, full.pk, instead_of=old.pk),
        EnrollmentCommand(Action.ENROLL, student.pk, third.pk),
    ]
    outcomes = execute(commands, actor)

    told = [[refusal.code for refusal in outcome.refusals] for outcome in outcomes]
    assert told == [["course_full"], ["too_many_credits"]]


def test_a_student_who_waits_for_a_swap_keeps_the_seat_until_the_promotion(courses, actor):
    student, other, next_one, (old, new) = make_student(), make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)
    swap(student, new, old, actor, on_full=OnFull.WAITLIST)
    enroll(student_id=next_one.pk, course_id=old.pk, on_full=OnFull.WAITLIST, actor=actor)
    assert statuses(student) == [("OLD", "enrolled", None), ("NEW", "waitlisted", old.pk)]
    before = len(entries())

    drop(student_id=other.pk, course_id=new.pk, actor=replace(actor, request_id="r-2", actor_id=None))

    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]
    assert statuses(next_one) == [("OLD", "enrolled", None)]
    assert entries()[before:] == [
        ("NEW", "drop", "enrolled", "dropped"),
        ("OLD", "drop", "enrolled", "dropped"),
        ("NEW", "promote", "waitlisted", "enrolled"),
        ("OLD", "promote", "waitlisted", "enrolled"),
    ]
    assert {each.request_id for each in EnrollmentEvent.objects.order_by("pk")[before:]} == {"r-2"}


def test_chains_of_swaps_are_followed_to_their_end(actor):
    """Each of the students has the seat of one course and waits for that of the course before it."""
    courses = [make_course(code=f"C-{n}", capacity=1, waitlist_capacity=None) for n in reversed(range(4))][::-1]
    students = [make_student() for _ in courses]
    enroll_many([(student.pk, course.pk) for student, course in zip(students, courses, strict=True)], actor=actor)
    for n in range(1, 4):
        swap(students[n], courses[n - 1], courses[n], actor, on_full=OnFull.WAITLIST)

    drop(student_id=students[0].pk, course_id=courses[0].pk, actor=actor)

    enrolled = StudentCourse.objects.enrolled().order_by("student")
    expected = [(students[n].pk, courses[n - 1].pk) for n in range(1, 4)]
    assert list(enrolled.values_list("student", "course")) == expected


def test_two_students_who_wait_crosswise_swap_as_soon_as_a_seat_is_free(courses, actor):
    first, second, (old, new) = make_student(), make_student(), courses
    enroll_many([(first.pk, old.pk), (second.pk, new.pk)], actor=actor)
    swap(first, new, old, actor, on_full=OnFull.WAITLIST)
    swap(second, old, new, actor, on_full=OnFull.WAITLIST)

    Course.objects.filter(pk=new.pk).update(capacity=2)
    promote([new.pk], actor=actor)

    assert statuses(first) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]
    assert statuses(second) == [("NEW", "dropped", None), ("OLD", "enrolled", None)]


def test_a_waiver_of_the_capacity_executes_the_swap_of_a_waiting_student(courses, actor):
    student, other, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)
    swap(student, new, old, actor, on_full=OnFull.WAITLIST)

    waiver: dict[str, Any] = {"waived_codes": ["course_full"], "reason": "the dean agreed"}
    enroll(student_id=student.pk, course_id=new.pk, actor=replace(actor, may_waive=True), **waiver)

    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]


def test_a_student_who_left_the_old_course_meanwhile_is_just_promoted(courses, actor):
    student, other, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)
    swap(student, new, old, actor, on_full=OnFull.WAITLIST)
    drop(student_id=student.pk, course_id=old.pk, actor=actor)

    drop(student_id=other.pk, course_id=new.pk, actor=actor)

    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]


def test_leaving_the_waitlist_ends_the_wish_and_its_undo_restores_it(courses, actor):
    student, other, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)
    swap(student, new, old, actor, on_full=OnFull.WAITLIST)

    drop(student_id=student.pk, course_id=new.pk, actor=actor)
    left = statuses(student)
    undo(student_id=student.pk, course_id=new.pk, actor=actor)

    assert left == [("OLD", "enrolled", None), ("NEW", "dropped", None)]
    assert statuses(student) == [("OLD", "enrolled", None), ("NEW", "waitlisted", old.pk)]


def test_both_parts_of_a_swap_can_be_undone(courses, actor):
    student, (old, new) = make_student(), courses
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)
    swap(student, new, old, actor)

    undo(student_id=student.pk, course_id=new.pk, actor=actor)
    undo(student_id=student.pk, course_id=old.pk, actor=actor)

    assert statuses(student) == [("OLD", "enrolled", None), ("NEW", "dropped", None)]


def test_crosswise_swaps_in_two_full_courses_are_both_refused(courses, actor):
    first, second, (old, new) = make_student(), make_student(), courses
    enroll_many([(first.pk, old.pk), (second.pk, new.pk)], actor=actor)
    commands = [
        EnrollmentCommand(Action.ENROLL, first.pk, new.pk, instead_of=old.pk),
        EnrollmentCommand(Action.ENROLL, second.pk, old.pk, instead_of=new.pk),
    ]

    for act in (execute, execute_atomic):
        outcomes = act(commands, actor)
        assert [[refusal.code for refusal in each.refusals] for each in outcomes] == [["course_full"]] * 2
    assert statuses(first, second) == [("OLD", "enrolled", None), ("NEW", "enrolled", None)]


def test_a_preview_shows_both_courses_and_the_promotion(courses, actor):
    student, waiting, (old, new) = make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (waiting.pk, old.pk)], actor=actor, on_full=OnFull.WAITLIST)

    preview = preview_commands([EnrollmentCommand(Action.ENROLL, student.pk, new.pk, instead_of=old.pk)], actor)

    [(outcome, event)] = preview.planned_actions
    assert outcome.changed
    assert event is not None
    assert (event.action, event.enrollment.course_id) == ("enroll", new.pk)
    effects = [(each.event.action, each.enrollment.key, each.event.to_status) for each in preview.side_effects]
    assert effects == [
        ("drop", (student.pk, old.pk), "dropped"),
        ("promote", (waiting.pk, old.pk), "enrolled"),
    ]
    assert [(preview.seats[each.pk].taken, preview.seats[each.pk].waiting) for each in courses] == [(1, 0), (1, 0)]
    assert statuses(student) == [("OLD", "enrolled", None)]


@pytest.mark.parametrize("status", ["enrolled", "same"])
def test_the_database_refuses_a_wish_of_a_student_who_does_not_wait_or_for_the_same_course(courses, actor, status):
    student, other, (old, new) = make_student(), make_student(), courses
    enroll_many([(other.pk, new.pk), (student.pk, old.pk), (student.pk, new.pk)], actor=actor, on_full=OnFull.WAITLIST)
    course = old if status == "enrolled" else new
    row = StudentCourse.objects.filter(student=student, course=course)

    with pytest.raises(IntegrityError), transaction.atomic():
        row.update(instead_of=new)


def test_swaps_cost_no_query_where_nobody_swaps(courses, actor):
    student, other, third, (old, new) = make_student(), make_student(), make_student(), courses
    enroll_many([(student.pk, old.pk), (other.pk, new.pk)], actor=actor)

    def count(act, **fields):
        with CaptureQueriesContext(connection) as queries:
            act(actor=actor, **fields)
        return len(queries)

    count(drop, student_id=student.pk, course_id=old.pk)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)
    plain = count(drop, student_id=student.pk, course_id=old.pk)
    enroll(student_id=third.pk, course_id=old.pk, actor=actor)
    swap(third, new, old, actor, on_full=OnFull.WAITLIST)

    assert count(drop, student_id=other.pk, course_id=new.pk) > plain
