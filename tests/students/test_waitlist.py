"""The waitlist: its order, its limits and every way in which a seat is freed."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from courses.models import Course
from school.refusals import Refused
from students.enrollment import complete, drop, dry_run, enroll, enroll_many, execute, promote, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db


def add_waitlisted(course, count, actor):
    """Add this many students to the waitlist of a full course, and return them in order."""
    students = [make_student() for _ in range(count)]
    enroll_many([(student.pk, course.pk) for student in students], on_full=OnFull.WAITLIST, actor=actor)
    assert waitlist_of(course) == [student.pk for student in students]
    return students


def full_course(actor, **fields):
    """Return a course with one seat and the student who holds it."""
    course, holder = make_course(**{"capacity": 1, "waitlist_capacity": 10, **fields}), make_student()
    enroll(student_id=holder.pk, course_id=course.pk, actor=actor)
    return course, holder


def waitlist_of(course):
    return list(StudentCourse.objects.in_waitlist_order().filter(course=course).values_list("student", flat=True))


def enrolled_in(course):
    return list(StudentCourse.objects.enrolled().filter(course=course).order_by("pk").values_list("student", flat=True))


def test_enrolling_with_the_waitlist_option_takes_a_free_seat(actor):
    course, student = make_course(capacity=1, waitlist_capacity=1), make_student()

    outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, outcome.enrollment.waitlist_position) == ("enrolled", None)


def test_a_student_without_a_seat_joins_the_end_of_the_waitlist(actor):
    course, _holder = full_course(actor)
    add_waitlisted(course, 2, actor)
    student = make_student()

    outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    again = enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    for each in (outcome, again):
        assert each.enrollment is not None
        assert (each.enrollment.status, each.enrollment.waitlist_position) == ("waitlisted", 3)
    assert (outcome.changed, again.changed) == (True, False)
    assert StudentCourse.objects.with_details().get(student=student).annotated_waitlist_position == 3


def test_a_student_who_cannot_enroll_cannot_join_the_waitlist(actor):
    course, _holder = full_course(actor)
    student = make_student(is_active=False)

    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert [refusal.code for refusal in refused.value.refusals] == ["student_inactive"]


@pytest.mark.parametrize(
    ("places", "message"),
    [(0, "C-1 has no free seat and no waitlist."), (2, "The waitlist of C-1 is full."), (None, None), (3, None)],
)
def test_a_waitlist_accepts_as_many_students_as_its_capacity(actor, places, message):
    course, _holder = full_course(actor, code="C-1")
    add_waitlisted(course, 2, actor)
    Course.objects.update(waitlist_capacity=places)

    [outcome] = dry_run(
        [EnrollmentCommand(Action.ENROLL, make_student().pk, course.pk, on_full=OnFull.WAITLIST)], actor
    )

    expected = [("waitlist_full", message)] if message else []
    assert [(refusal.code, refusal.message) for refusal in outcome.refusals] == expected


@pytest.mark.parametrize("verb", [drop, complete])
def test_a_freed_seat_goes_to_the_first_waitlisted_student(actor, verb):
    course, holder = full_course(actor)
    first, second = add_waitlisted(course, 2, actor)

    verb(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([first.pk], [second.pk])


def test_the_journal_lists_a_promotion_after_the_event_that_freed_the_seat(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    freed, promoted = EnrollmentEvent.objects.order_by("-pk")[:2][::-1]
    assert (freed.action, promoted.action, promoted.enrollment.student) == ("drop", "promote", first)
    assert (promoted.from_status, promoted.to_status, promoted.at) == ("waitlisted", "enrolled", freed.at)
    assert promoted.changes == {"enrolled_on": [None, str(promoted.enrollment.enrolled_on)]}


def test_a_waitlisted_student_can_leave_the_waitlist(actor):
    course, holder = full_course(actor)
    first, second = add_waitlisted(course, 2, actor)

    drop(student_id=first.pk, course_id=course.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([holder.pk], [second.pk])
    assert StudentCourse.objects.get(student=first).status == "dropped"


def test_a_seat_freed_in_a_batch_goes_to_the_waitlist_not_to_a_new_request(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)
    newcomer = make_student()

    acts = [
        EnrollmentCommand(Action.DROP, holder.pk, course.pk),
        EnrollmentCommand(Action.ENROLL, newcomer.pk, course.pk),
    ]
    outcomes = execute(acts, actor)

    assert [[refusal.code for refusal in outcome.refusals] for outcome in outcomes] == [[], ["course_full"]]
    assert enrolled_in(course) == [first.pk]


def test_a_student_who_joins_an_empty_waitlist_gets_a_seat_freed_by_the_same_batch(actor):
    course, holder = full_course(actor)
    first, second = make_student(), make_student()

    acts = [
        EnrollmentCommand(Action.ENROLL, first.pk, course.pk, on_full=OnFull.WAITLIST),
        EnrollmentCommand(Action.DROP, holder.pk, course.pk),
        EnrollmentCommand(Action.ENROLL, second.pk, course.pk, on_full=OnFull.WAITLIST),
    ]
    execute(acts, actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([first.pk], [second.pk])


def test_a_new_request_does_not_take_a_free_seat_while_a_student_is_waitlisted(actor):
    course, holder = full_course(actor, code="C-1")
    [first] = add_waitlisted(course, 1, actor)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    [outcome] = execute([EnrollmentCommand(Action.ENROLL, make_student().pk, course.pk)], actor)

    assert [(r.code, r.message) for r in outcome.refusals] == [
        ("course_full", "The free seats of C-1 go to waitlisted students first.")
    ]


def test_a_new_waitlist_request_gets_the_seat_if_the_first_student_is_ineligible(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    newcomer = make_student()

    outcome = enroll(student_id=newcomer.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, enrolled_in(course), waitlist_of(course)) == (
        "enrolled",
        [newcomer.pk],
        [first.pk],
    )


def test_an_ineligible_waitlisted_student_is_passed_over_with_one_recorded_reason(actor):
    course, holder = full_course(actor, capacity=1)
    first, second, third = add_waitlisted(course, 3, actor)
    first.is_active = False
    first.save()

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    drop(student_id=second.pk, course_id=course.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([third.pk], [first.pk])
    [passed_over] = EnrollmentEvent.objects.filter(action="pass_over")
    assert (passed_over.enrollment.student, passed_over.refusals) == (first, ["student_inactive"])
    assert (passed_over.reason, passed_over.channel) == ("This student is not active.", "system")
    assert (passed_over.from_status, passed_over.to_status, passed_over.changes) == ("waitlisted", "waitlisted", {})


def test_a_new_reason_for_a_pass_over_is_recorded_too(actor):
    course, holder = full_course(actor)
    first, second = add_waitlisted(course, 2, actor)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    Course.objects.update(prerequisites=["MATH-1"])

    drop(student_id=second.pk, course_id=course.pk, actor=actor)

    told = EnrollmentEvent.objects.filter(action="pass_over", enrollment__student=first)
    assert [event.refusals for event in told] == [["student_inactive"], ["student_inactive", "prerequisite_missing"]]


def test_promotion_applies_the_rules_at_the_time_of_promotion(actor):
    opens = datetime(2026, 9, 1, tzinfo=UTC)
    with time_machine.travel(opens, tick=False):
        course, holder = full_course(actor, enrollment_closes_at=opens + timedelta(days=1))
        [first] = add_waitlisted(course, 1, actor)

    with time_machine.travel(opens + timedelta(days=1), tick=False):
        drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([], [first.pk])
    assert EnrollmentEvent.objects.latest("pk").refusals == ["enrollment_closed"]


def test_a_waiver_used_to_join_the_waitlist_applies_to_the_promotion(actor):
    course, holder = full_course(actor)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    may = type(actor)(actor.channel, may_waive=True)
    student = make_student()
    enroll(
        student_id=student.pk,
        course_id=course.pk,
        on_full=OnFull.WAITLIST,
        waived_codes=["enrollment_closed"],
        reason="late transfer",
        actor=may,
    )

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert enrolled_in(course) == [student.pk]
    assert EnrollmentEvent.objects.latest("pk").waived == ["enrollment_closed"]


def test_a_waiver_applies_to_a_seat_freed_by_the_same_batch(actor):
    course, holder = full_course(actor)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    student = make_student()
    waive = frozenset(["enrollment_closed"])

    acts = [
        EnrollmentCommand(Action.ENROLL, student.pk, course.pk, None, "late transfer", OnFull.WAITLIST, waive),
        EnrollmentCommand(Action.DROP, holder.pk, course.pk),
    ]
    execute(acts, type(actor)(actor.channel, may_waive=True))

    assert enrolled_in(course) == [student.pk]
    assert EnrollmentEvent.objects.latest("pk").waived == ["enrollment_closed"]


def test_a_waiver_that_was_undone_does_not_apply(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    may = type(actor)(actor.channel, may_waive=True)
    both = ["course_full", "enrollment_closed"]
    enroll(student_id=first.pk, course_id=course.pk, waived_codes=both, reason="by mistake", actor=may)
    undo(student_id=first.pk, course_id=course.pk, actor=actor)

    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([], [first.pk])


def test_a_waiver_enrolls_a_student_past_the_waitlist_and_above_the_capacity(actor):
    course, holder = full_course(actor)
    first, second = add_waitlisted(course, 2, actor)
    may = type(actor)(actor.channel, may_waive=True)

    enroll(student_id=second.pk, course_id=course.pk, waived_codes=["course_full"], reason="graduates", actor=may)

    assert (enrolled_in(course), waitlist_of(course)) == ([holder.pk, second.pk], [first.pk])
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.from_status, event.to_status) == ("enroll", "waitlisted", "enrolled")
    assert (event.waived, event.reason) == (["course_full"], "graduates")


@pytest.mark.parametrize("capacity", [3, None])
def test_a_larger_capacity_promotes_as_many_students_as_there_are_seats(actor, capacity):
    course, holder = full_course(actor)
    students = add_waitlisted(course, 3, actor)
    Course.objects.update(capacity=capacity)

    promoted = promote([course.pk], actor=actor)

    expected = students if capacity is None else students[:2]
    assert [enrollment.student for enrollment in promoted] == expected
    assert enrolled_in(course) == [holder.pk, *(student.pk for student in expected)]


def test_a_smaller_capacity_removes_nobody_and_promotes_nobody(actor):
    course = make_course(capacity=3, waitlist_capacity=5)
    inside = [make_student() for _ in range(3)]
    enroll_many([(student.pk, course.pk) for student in inside], actor=actor)
    [first] = add_waitlisted(course, 1, actor)
    Course.objects.update(capacity=1)

    for student in inside[:2]:
        drop(student_id=student.pk, course_id=course.pk, actor=actor)
    assert (enrolled_in(course), waitlist_of(course)) == ([inside[2].pk], [first.pk])

    drop(student_id=inside[2].pk, course_id=course.pk, actor=actor)
    assert (enrolled_in(course), waitlist_of(course)) == ([first.pk], [])


def test_completing_a_prerequisite_gives_the_student_a_free_seat(actor):
    asked_for = make_course(code="MATH-1")
    course, holder = full_course(actor, code="MATH-2")
    [first] = add_waitlisted(course, 1, actor)
    Course.objects.filter(pk=course.pk).update(prerequisites=["MATH-1"])
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    assert (enrolled_in(course), waitlist_of(course)) == ([], [first.pk])
    enroll(student_id=first.pk, course_id=asked_for.pk, actor=actor)

    complete(student_id=first.pk, course_id=asked_for.pk, actor=actor)

    assert (enrolled_in(course), waitlist_of(course)) == ([first.pk], [])


def test_the_waitlist_order_is_the_lock_order_even_if_a_clock_is_behind(actor):
    course, _holder = full_course(actor)
    with time_machine.travel("2026-09-01T12:00:00Z", tick=False):
        [first] = add_waitlisted(course, 1, actor)
    with time_machine.travel("2026-09-01T11:59:59Z", tick=False):  # another server, whose clock is behind
        second = make_student()
        enroll(student_id=second.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert waitlist_of(course) == [first.pk, second.pk]


# Undo


def test_undoing_an_enrollment_drops_it_and_frees_the_seat(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)

    undo(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert enrolled_in(course) == [first.pk]
    assert StudentCourse.objects.get(student=holder).status == "dropped"


def test_undoing_a_drop_restores_the_seat_if_it_is_still_free(actor):
    course, holder = full_course(actor)
    before = StudentCourse.objects.get()
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    undo(student_id=holder.pk, course_id=course.pk, actor=actor, reason="wrong button")

    after = StudentCourse.objects.get()
    assert (after.status, after.enrolled_on, after.ended_on, after.version) == ("enrolled", before.enrolled_on, None, 3)
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.from_status, event.to_status) == ("undo", "dropped", "enrolled")
    assert event.reason == "wrong button"


def test_undoing_a_drop_does_not_take_the_seat_from_its_new_holder(actor):
    course, holder = full_course(actor)
    [first] = add_waitlisted(course, 1, actor)
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    with pytest.raises(Refused) as refused:
        undo(student_id=holder.pk, course_id=course.pk, actor=actor)

    assert [refusal.code for refusal in refused.value.refusals] == ["course_full"]
    assert enrolled_in(course) == [first.pk]


def test_undoing_a_drop_from_the_waitlist_restores_the_position(actor):
    course, _holder = full_course(actor)
    first, second = add_waitlisted(course, 2, actor)
    drop(student_id=first.pk, course_id=course.pk, actor=actor)

    undo(student_id=first.pk, course_id=course.pk, actor=actor)

    assert waitlist_of(course) == [first.pk, second.pk]


def test_undo_restores_the_earlier_grade_and_after_a_completion_the_seat(actor):
    course, student = make_course(), make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    complete(student_id=student.pk, course_id=course.pk, grade="B", actor=actor)
    complete(student_id=student.pk, course_id=course.pk, grade="A", actor=actor)

    undo(student_id=student.pk, course_id=course.pk, actor=actor)

    enrollment = StudentCourse.objects.get()
    assert (enrollment.status, enrollment.grade) == ("completed", "B")
    with pytest.raises(Refused) as refused:
        undo(student_id=student.pk, course_id=course.pk, actor=actor)
    assert [refusal.code for refusal in refused.value.refusals] == ["illegal_transition"]


def test_a_command_and_its_undo_in_one_batch_restore_the_previous_state(actor):
    course, student = make_course(), make_student()

    execute(
        [EnrollmentCommand(action, student.pk, course.pk) for action in (Action.ENROLL, Action.DROP, Action.UNDO)],
        actor,
    )

    enrollment = StudentCourse.objects.get()
    assert (enrollment.status, enrollment.ended_on, enrollment.version) == ("enrolled", None, 3)
