"""A swap for a course that the student has already: enrolled, or on the waitlist."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stress.invariants import violations
from students.enrollment import drop, enroll, enroll_many, execute, promote, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.models import Action, EnrollmentEvent, StudentCourse
from students.verification import differences_from_journal
from tests.students.test_swaps import codes_of, entries, statuses, swap
from tests.support.entry_points import ENTRY_POINTS, RequestedAction
from tests.support.factories import make_course, make_student
from tests.support.imports import imported

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def consistent():
    """After each test, the journal and the rows agree, and nobody waits who could have a seat."""
    yield
    assert list(differences_from_journal(lambda _count: None)) == []
    assert violations() == []


@pytest.fixture
def student():
    return make_student()


@pytest.fixture
def old(student, actor):
    """A course with one seat, which the student has."""
    course = make_course(code="OLD", capacity=1, waitlist_capacity=None)
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    return course


@pytest.fixture
def waited_for(student, actor):
    """A full course for which two students wait, the student first; the waitlist is full, too."""
    course = make_course(code="NEW", capacity=1, waitlist_capacity=2)
    keys = [(each, course.pk) for each in (make_student().pk, student.pk, make_student().pk)]
    enroll_many(keys, actor=actor, on_full=OnFull.WAITLIST)
    return course


@pytest.fixture
def held(student, actor):
    """Another course in which the student has the only seat."""
    course = make_course(code="NEW", capacity=1)
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    return course


def row_of(student, course):
    return StudentCourse.objects.get(student=student, course=course)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_the_wish_of_a_waiting_student_is_stored_at_every_entry_point(entry_point, student, old, waited_for, actor):
    before, count = row_of(student, waited_for), len(entries())

    entry_point(RequestedAction(Action.ENROLL, student, waited_for, on_full="waitlist", instead_of=old))
    again = swap(student, waited_for, old, actor)

    assert again.changed is False
    after = row_of(student, waited_for)
    assert (after.instead_of, after.status, after.version) == (old, "waitlisted", before.version + 1)
    assert (after.waitlisted_at, after.waitlist_position) == (before.waitlisted_at, 1)
    assert entries()[count:] == [("NEW", "enroll", "waitlisted", "waitlisted")]
    assert EnrollmentEvent.objects.order_by("pk")[count].changes == {"instead_of_id": [None, old.pk]}
    assert row_of(student, old).status == "enrolled"


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_a_swap_for_a_course_with_a_seat_ends_the_other_at_every_entry_point(entry_point, student, old, held, actor):
    before, count = row_of(student, held), len(entries())

    entry_point(RequestedAction(Action.ENROLL, student, held, instead_of=old))
    again = swap(student, held, old, actor)

    assert again.changed is False
    after = row_of(student, held)
    assert (row_of(student, old).status, after.status, after.enrolled_on) == ("dropped", "enrolled", before.enrolled_on)
    assert entries()[count:] == [("OLD", "drop", "enrolled", "dropped"), ("NEW", "enroll", "enrolled", "enrolled")]


@pytest.mark.parametrize("target", ["held", "waited_for"])
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_a_course_without_a_seat_is_refused_at_every_entry_point(entry_point, target, student, request):
    course, other = request.getfixturevalue(target), make_course(code="OTHER")
    count = len(entries())

    answer = entry_point(RequestedAction(Action.ENROLL, student, course, on_full="waitlist", instead_of=other))

    assert "This student is not enrolled in OTHER." in answer
    assert len(entries()) == count


def test_the_promotion_executes_a_wish_that_was_added_later(student, old, waited_for, actor):
    swap(student, waited_for, old, actor, on_full=OnFull.WAITLIST)
    waited_for.capacity = 2
    waited_for.save()

    promote([waited_for.pk], actor=actor)

    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]
    assert swap(student, waited_for, old, actor, on_full=OnFull.WAITLIST).changed is False


def test_a_wish_can_be_replaced_and_its_undo_restores_the_one_before(student, old, waited_for, actor):
    other = make_course(code="OTHER")
    enroll(student_id=student.pk, course_id=other.pk, actor=actor)
    for each in (old, other):
        swap(student, waited_for, each, actor, on_full=OnFull.WAITLIST)

    found = [row_of(student, waited_for).instead_of]
    undo(student_id=student.pk, course_id=waited_for.pk, actor=actor)

    assert [*found, row_of(student, waited_for).instead_of] == [other, old]


def test_without_the_waitlist_a_waiting_student_is_refused_and_the_wish_not_stored(student, old, waited_for, actor):
    assert codes_of(swap, student, waited_for, old, actor) == [("course_full", None)]
    assert row_of(student, waited_for).instead_of is None


def test_a_wish_keeps_the_waiver_of_the_waiting_student(student, old, actor):
    required = make_course()
    course = make_course(code="NEW", capacity=0, waitlist_capacity=1, prerequisites=[required.code])
    waiver: dict[str, Any] = {"waived_codes": ["prerequisite_missing"], "reason": "agreed", "on_full": OnFull.WAITLIST}
    enroll(student_id=student.pk, course_id=course.pk, actor=replace(actor, may_waive=True), **waiver)
    swap(student, course, old, actor, on_full=OnFull.WAITLIST)
    course.capacity = 1
    course.save()

    promote([course.pk], actor=actor)

    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]


def test_a_wish_gives_a_free_seat_for_which_the_other_course_was_in_the_way(student, actor):
    course = make_course(code="M-1", section="B", capacity=0, waitlist_capacity=1)
    section = make_course(code="M-1", section="A")
    waiver = {"waived_codes": ["other_section"], "reason": "agreed", "actor": replace(actor, may_waive=True)}
    enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    enroll(student_id=student.pk, course_id=section.pk, **waiver)
    course.capacity = 1
    course.save()
    promote([course.pk], actor=actor)
    before = row_of(student, course).status

    outcome = swap(student, course, section, actor, on_full=OnFull.WAITLIST)

    assert (before, outcome.enrollment.status) == ("waitlisted", "enrolled")
    assert statuses(student) == [("M-1", "enrolled", None), ("M-1", "dropped", None)]


def test_leaving_one_course_and_joining_another_is_no_swap(student, old, actor):
    new = make_course(code="NEW")
    drop(student_id=student.pk, course_id=old.pk, actor=actor)
    enroll(student_id=student.pk, course_id=new.pk, actor=actor)

    assert codes_of(swap, student, new, old, actor) == [("not_enrolled", "instead_of")]


def test_a_repeated_item_of_a_batch_changes_nothing(student, old, actor):
    command = EnrollmentCommand(Action.ENROLL, student.pk, make_course(code="NEW").pk, instead_of=old.pk)

    outcomes = execute([command, command], actor)

    assert [(each.accepted, each.changed) for each in outcomes] == [(True, True), (True, False)]
    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None)]


def test_a_swap_after_the_student_returned_to_the_old_course_is_executed_again(student, old, actor):
    new, context = make_course(code="NEW"), DecisionContext(partial_rows=True)
    back = EnrollmentCommand(Action.ENROLL, student.pk, old.pk)
    command = EnrollmentCommand(Action.ENROLL, student.pk, new.pk, instead_of=old.pk)

    outcomes = [execute([each], actor, context)[0] for each in (command, back, command)]

    assert [(each.accepted, each.changed) for each in outcomes] == [(True, True)] * 3
    assert statuses(student) == [("OLD", "dropped", None), ("NEW", "enrolled", None), ("OLD", "dropped", None)]


def test_rows_with_wishes_do_not_read_the_waitlist_position_of_each_student(actor):
    old, new = make_course(code="OLD"), make_course(code="NEW", capacity=0, waitlist_capacity=None)
    students = [make_student(student_number=f"S-{number}") for number in range(3)]
    enroll_many([(each.pk, pk) for each in students for pk in (old.pk, new.pk)], actor=actor, on_full=OnFull.WAITLIST)
    rows = "".join(f"{each.student_number},NEW,waitlisted,OLD\n" for each in students)

    with CaptureQueriesContext(connection) as queries:
        job = imported(f"student_number,course_code,status,instead_of\n{rows}")

    assert (job.counts, StudentCourse.objects.filter(instead_of=old).count()) == ({"waitlisted": 3}, 3)
    assert [each for each in queries if "annotated_waitlist_position" in each["sql"]] == []


@pytest.mark.parametrize("size", [1, 20])
def test_repeated_swaps_cost_one_query_for_all(size, actor, django_assert_num_queries):
    old, new = make_course(code="OLD"), make_course(code="NEW")
    students = [make_student() for _ in range(size)]
    enroll_many([(each.pk, old.pk) for each in students], actor=actor)
    swaps = [EnrollmentCommand(Action.ENROLL, each.pk, new.pk, instead_of=old.pk) for each in students]
    execute(swaps, actor)

    with django_assert_num_queries(7):
        outcomes = execute(swaps, actor)

    assert {each.changed for each in outcomes} == {False}
