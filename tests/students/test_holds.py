"""Holds: they refuse enrollments and promotions, each by its own reason, until they are released or end."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from school.access.access_log import Door
from school.refusals import Refused
from students.enrollment import drop, enroll, execute
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.holds import RequestedHold, erase_holds, place_holds, release_holds, wrong_flags
from students.models import Action, EnrollmentEvent, Hold, Student, StudentCourse
from students.privacy.erase import erase
from students.privacy.export import collect_personal_data
from students.privacy.person_lookup import person_of
from students.privacy.retention import inactive_since
from students.verification import findings
from tests.support.factories import CANARY, make_course, make_hold, make_student, make_term

pytestmark = pytest.mark.django_db


def reasons(student, course, actor, **options):
    """Return the codes and the messages of the refusals of an enrollment."""
    with pytest.raises(Refused) as caught:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor, **options)
    return [(each.code, each.message) for each in caught.value.refusals]


def waitlisted(actor, **options):
    """Return a student who waits for the only seat of a course, the course, and the student who has the seat."""
    course, holder, waiter = make_course(capacity=1, waitlist_capacity=5), make_student(), make_student()
    enroll(student_id=holder.pk, course_id=course.pk, actor=actor)
    enroll(student_id=waiter.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST, **options)
    return waiter, course, holder


def status_of(student, course):
    return StudentCourse.objects.filter(student=student, course=course).latest("pk").status


def may_waive(actor):
    return replace(actor, may_waive=True)


def has_flag(student):
    return bool(Student.objects.get(pk=student.pk).has_holds)


def test_each_hold_is_a_reason_of_its_own(actor):
    student = make_student()
    make_hold(student, "LIBRARY", reason="owes a book")
    make_hold(student, "FEES", reason="owes 300 euros")

    found = reasons(student, make_course(), actor)

    assert found == [
        ("on_hold", "This student has the hold LIBRARY."),
        ("on_hold", "This student has the hold FEES."),
    ]


@pytest.mark.parametrize(
    ("values", "is_refused"),
    [
        ({}, True),
        ({"starts_on": date(2026, 9, 15), "ends_on": date(2026, 9, 15)}, True),
        ({"starts_on": date(2026, 9, 16)}, False),
        ({"ends_on": date(2026, 9, 14)}, False),
    ],
)
def test_a_hold_applies_from_its_first_to_its_last_day(values, is_refused, actor):
    student, course = make_student(), make_course()
    with time_machine.travel(datetime(2026, 9, 15, 12, tzinfo=UTC), tick=False):
        make_hold(student, **values)
        [outcome] = execute([EnrollmentCommand(Action.ENROLL, student.pk, course.pk)], actor)

    assert [each.code for each in outcome.refusals] == (["on_hold"] if is_refused else [])


def test_a_hold_for_a_term_concerns_the_courses_of_that_term_only(actor):
    fall, spring = make_term(), make_term()
    student = make_student()
    make_hold(student, term_id=fall.pk)

    for course in (make_course(term=spring), make_course()):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    assert [code for code, _message in reasons(student, make_course(term=fall), actor)] == ["on_hold"]


def test_a_waiver_overrides_all_holds_and_is_recorded_once(actor):
    student, course = make_student(), make_course()
    make_hold(student, "LIBRARY")
    make_hold(student, "FEES")

    waiver: dict[str, Any] = {"waived_codes": ["on_hold"], "reason": "the dean agreed"}
    enroll(student_id=student.pk, course_id=course.pk, actor=may_waive(actor), **waiver)

    [event] = EnrollmentEvent.objects.all()
    assert event.waived == ["on_hold"]


def test_a_drop_and_a_completion_are_possible_with_a_hold(actor):
    student, courses = make_student(), [make_course(), make_course()]
    for course in courses:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    make_hold(student)

    outcomes = execute(
        [
            EnrollmentCommand(Action.DROP, student.pk, courses[0].pk),
            EnrollmentCommand(Action.COMPLETE, student.pk, courses[1].pk),
        ],
        actor,
    )

    assert [outcome.refusals for outcome in outcomes] == [(), ()]


def test_a_waitlisted_student_with_holds_keeps_the_place_and_is_passed_over_once(actor):
    waiter, course, holder = waitlisted(actor)
    second = make_student()
    enroll(student_id=second.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    make_hold(waiter, "LIBRARY", reason="owes a book")
    make_hold(waiter, "FEES")

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    drop(student_id=second.pk, course_id=course.pk, actor=actor)

    assert (status_of(waiter, course), StudentCourse.objects.waitlisted().get().student) == ("waitlisted", waiter)
    [passed_over] = EnrollmentEvent.objects.filter(action=Action.PASS_OVER)
    assert passed_over.refusals == ["on_hold"]
    assert passed_over.reason == "This student has the hold LIBRARY. This student has the hold FEES."


def test_a_waiver_of_the_hold_stays_valid_for_the_promotion(actor):
    course, holder, waiter = make_course(capacity=1, waitlist_capacity=5), make_student(), make_student()
    enroll(student_id=holder.pk, course_id=course.pk, actor=actor)
    make_hold(waiter)
    waiver: dict[str, Any] = {"waived_codes": ["on_hold"], "reason": "the dean agreed"}
    enroll(student_id=waiter.pk, course_id=course.pk, actor=may_waive(actor), on_full=OnFull.WAITLIST, **waiver)

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert status_of(waiter, course) == "enrolled"


def test_a_release_looks_at_the_lines_of_the_student_again(actor):
    waiter, course, holder = waitlisted(actor)
    hold = make_hold(waiter)
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    promoted = release_holds([hold.pk], actor=actor)

    assert [each.key for each in promoted] == [(waiter.pk, course.pk)]
    assert (status_of(waiter, course), has_flag(waiter)) == ("enrolled", False)


def test_a_release_of_one_of_two_holds_gives_no_seat(actor):
    waiter, course, holder = waitlisted(actor)
    hold = make_hold(waiter, "LIBRARY")
    make_hold(waiter, "FEES")
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert release_holds([hold.pk], actor=actor) == []
    assert (status_of(waiter, course), has_flag(waiter)) == ("waitlisted", True)


def test_a_release_keeps_the_hold_as_history_and_its_repetition_changes_nothing(actor, registrar):
    hold = make_hold(make_student(), reason="owes a book")
    by_registrar = replace(actor, actor_id=registrar.pk)

    release_holds([hold.pk], actor=by_registrar)
    released = Hold.objects.values().get()
    release_holds([hold.pk], actor=actor)

    assert Hold.objects.values().get() == released
    assert (released["reason"], released["released_by_id"]) == ("owes a book", registrar.pk)
    assert released["released_at"] is not None


def test_the_housekeeping_gives_seats_to_students_whose_hold_has_ended(actor):
    waiter, course, holder = waitlisted(actor)
    make_hold(waiter, ends_on=timezone.localdate())
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    call_command("promote_waitlists", stdout=io.StringIO())
    assert status_of(waiter, course) == "waitlisted"

    with time_machine.travel(timezone.now() + timedelta(days=1)):
        call_command("housekeeping", stdout=io.StringIO())

    assert status_of(waiter, course) == "enrolled"


def test_an_equal_hold_is_placed_once_and_a_different_one_is_refused(actor):
    student = make_student()
    hold = make_hold(student, "LIBRARY", reason="owes a book")

    [again] = place_holds([RequestedHold(student.pk, "LIBRARY", reason="owes a book")], actor=actor)
    [other] = place_holds([RequestedHold(student.pk, "LIBRARY", reason="owes two books")], actor=actor)

    assert (again.hold, again.created) == (hold, False)
    assert [(each.code, each.field) for each in other.refusals] == [("unique", "code")]
    assert Hold.objects.count() == 1


def test_a_replaced_hold_is_kept_as_history_and_its_end_gives_a_seat(actor):
    waiter, course, holder = waitlisted(actor)
    hold = make_hold(waiter)
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    ended = RequestedHold(waiter.pk, "LIBRARY", ends_on=timezone.localdate() - timedelta(days=1))
    [placement] = place_holds([ended], actor=actor, replacing=True)

    assert placement.replaced == hold
    assert list(Hold.objects.open()) == [placement.hold]
    assert Hold.objects.count() == 2
    assert (status_of(waiter, course), has_flag(waiter)) == ("enrolled", True)


def test_an_erased_or_unknown_student_gets_no_hold(actor):
    student = make_student()
    erase(person_of(student), reason="asked for it", door=Door.COMMAND)

    requested = [RequestedHold(student.pk, "LIBRARY"), RequestedHold(10**9, "LIBRARY")]
    outcomes = place_holds(requested, actor=actor)

    assert [outcome.refusals[0].code for outcome in outcomes] == ["already_erased", "student_not_found"]


def test_a_batch_refuses_only_the_students_with_holds(actor):
    course, students = make_course(), [make_student() for _ in range(4)]
    for student in students[1::2]:
        make_hold(student)
    commands = [EnrollmentCommand(Action.ENROLL, student.pk, course.pk) for student in students]

    outcomes = execute(commands, actor, DecisionContext(partial_rows=True))

    assert [outcome.accepted for outcome in outcomes] == [True, False, True, False]


def test_the_database_refuses_a_second_open_hold_reversed_days_and_a_release_without_a_time(registrar):
    student, term = make_student(), make_term()
    make_hold(student, "LIBRARY")
    make_hold(student, "LIBRARY", term_id=term.pk)
    reversed_days = {"starts_on": date(2026, 9, 2), "ends_on": date(2026, 9, 1)}
    unreleased = {"code": "FEES", "released_by": registrar}
    for values in ({}, {"term": term}, {"code": "FEES", **reversed_days}, unreleased):
        with pytest.raises(IntegrityError), transaction.atomic():
            Hold.objects.create(**{"student": student, "code": "LIBRARY", **values})


def test_a_save_of_the_student_leaves_the_flag_unchanged():
    read_before = make_student()
    make_hold(read_before)

    read_before.given_name = "Grace"
    read_before.save()

    assert (has_flag(read_before), Student.objects.get().given_name) == (True, "Grace")
    assert not hasattr(read_before.history.first(), "has_holds")


def test_holds_cost_no_query_if_there_are_none_and_one_for_a_whole_batch(actor):
    course = make_course()

    def queries(count, *, held, partial_rows):
        students = [make_student() for _ in range(count)]
        for student in students if held else ():
            make_hold(student)
        commands = [EnrollmentCommand(Action.ENROLL, student.pk, course.pk) for student in students]
        with CaptureQueriesContext(connection) as captured:
            outcomes = execute(commands, actor, DecisionContext(partial_rows=partial_rows))
        assert {outcome.accepted for outcome in outcomes} == {not held}
        return sum("students_hold" in query["sql"] for query in captured)

    for partial_rows in (False, True):
        assert queries(3, held=False, partial_rows=partial_rows) == 0
        assert queries(1, held=True, partial_rows=partial_rows) == 1
        assert queries(9, held=True, partial_rows=partial_rows) == 1


def test_an_erasure_deletes_the_reasons_and_releases_the_holds():
    student = make_student()
    make_hold(student, "FEES", reason=f"{CANARY} owes 300 euros")
    erase_holds(student.pk, actor_id=None)
    make_hold(student, "LIBRARY", reason=f"{CANARY} owes a book")

    erase(person_of(student), reason="asked for it", door=Door.COMMAND)

    assert Hold.objects.open().count() == 0
    assert list(Hold.objects.values_list("code", "reason")) == [("FEES", ""), ("LIBRARY", "")]
    assert not has_flag(student)


def test_the_export_of_personal_data_has_the_holds():
    student, term = make_student(), make_term()
    hold = make_hold(student, reason="owes a book", term_id=term.pk)

    exported = collect_personal_data(person_of(student))["holds"]

    assert [(each["id"], each["code"], each["reason"], each["term__code"]) for each in exported] == [
        (hold.pk, "LIBRARY", "owes a book", term.code)
    ]


def test_the_retention_keeps_a_student_with_a_recent_hold():
    with time_machine.travel(timezone.now() - timedelta(days=1)):
        student = make_student()
    assert list(inactive_since(timezone.now())) == [student]

    make_hold(student)

    assert list(inactive_since(timezone.now() - timedelta(hours=1))) == []


def test_the_verification_names_a_student_whose_flag_is_wrong():
    held, free = make_student(), make_student()
    make_hold(held)
    assert [*findings(), *wrong_flags()] == []

    Student.objects.update(has_holds=True)
    Student.objects.filter(pk=held.pk).update(has_holds=None)

    assert list(findings()) == [
        f"Student {held.pk} is marked as not having holds, which is wrong.",
        f"Student {free.pk} is marked as having holds, which is wrong.",
    ]
