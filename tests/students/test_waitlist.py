"""The waitlist: who waits, who is next, and every way in which a seat comes free."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from courses.models import Course
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, enroll_many, judge, perform, promote, undo
from students.enrollment.commands import Act, OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db


def waiting(course, count, origin):
    """Let so many students wait for a seat in a full course, and return them in their order."""
    students = [make_student() for _ in range(count)]
    enroll_many([(student.pk, course.pk) for student in students], on_full=OnFull.WAITLIST, origin=origin)
    assert line(course) == [student.pk for student in students]
    return students


def full_course(origin, **fields):
    """A course with one seat and whoever holds it."""
    course, holder = make_course(**{"capacity": 1, "waitlist_capacity": 10, **fields}), make_student()
    enroll(student_id=holder.pk, course_id=course.pk, origin=origin)
    return course, holder


def line(course):
    return list(StudentCourse.objects.in_line().filter(course=course).values_list("student", flat=True))


def seated(course):
    return list(StudentCourse.objects.seated().filter(course=course).order_by("pk").values_list("student", flat=True))


def test_who_would_rather_wait_gets_a_seat_where_one_is_free(origin):
    course, student = make_course(capacity=1, waitlist_capacity=1), make_student()

    outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, outcome.enrollment.waitlist_position) == ("enrolled", None)


def test_who_finds_no_seat_waits_at_the_end_of_the_line(origin):
    course, _holder = full_course(origin)
    waiting(course, 2, origin)
    student = make_student()

    outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)
    again = enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    for each in (outcome, again):
        assert each.enrollment is not None
        assert (each.enrollment.status, each.enrollment.waitlist_position) == ("waitlisted", 3)
    assert (outcome.changed, again.changed) == (True, False)
    assert StudentCourse.objects.with_parties().get(student=student).position == 3


def test_who_may_not_enroll_may_not_wait_either(origin):
    course, _holder = full_course(origin)
    student = make_student(is_active=False)

    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    assert [refusal.code for refusal in refused.value.refusals] == ["student_inactive"]


@pytest.mark.parametrize(
    ("places", "message"),
    [(0, "C-1 has no free seat and no waitlist."), (2, "The waitlist of C-1 is full."), (None, None), (3, None)],
)
def test_a_waitlist_has_as_many_places_as_it_says(origin, places, message):
    course, _holder = full_course(origin, code="C-1")
    waiting(course, 2, origin)
    Course.objects.update(waitlist_capacity=places)

    [outcome] = judge([Act(Action.ENROLL, make_student().pk, course.pk, on_full=OnFull.WAITLIST)], origin)

    expected = [("waitlist_full", message)] if message else []
    assert [(refusal.code, refusal.message) for refusal in outcome.refusals] == expected


@pytest.mark.parametrize("verb", [drop, complete])
def test_a_seat_that_comes_free_goes_to_who_is_next(origin, verb):
    course, holder = full_course(origin)
    first, second = waiting(course, 2, origin)

    verb(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert (seated(course), line(course)) == ([first.pk], [second.pk])


def test_the_journal_tells_of_a_promotion_after_what_freed_the_seat(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)

    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    freed, promoted = EnrollmentEvent.objects.order_by("-pk")[:2][::-1]
    assert (freed.action, promoted.action, promoted.enrollment.student) == ("drop", "promote", first)
    assert (promoted.from_status, promoted.to_status, promoted.at) == ("waitlisted", "enrolled", freed.at)
    assert promoted.changes == {"enrolled_on": [None, str(promoted.enrollment.enrolled_on)]}


def test_who_waits_can_leave_the_line(origin):
    course, holder = full_course(origin)
    first, second = waiting(course, 2, origin)

    drop(student_id=first.pk, course_id=course.pk, origin=origin)

    assert (seated(course), line(course)) == ([holder.pk], [second.pk])
    assert StudentCourse.objects.get(student=first).status == "dropped"


def test_a_newcomer_does_not_take_the_seat_that_a_batch_frees_from_who_waits(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)
    newcomer = make_student()

    acts = [Act(Action.DROP, holder.pk, course.pk), Act(Action.ENROLL, newcomer.pk, course.pk)]
    outcomes = perform(acts, origin)

    assert [[refusal.code for refusal in outcome.refusals] for outcome in outcomes] == [[], ["course_full"]]
    assert seated(course) == [first.pk]


def test_who_joins_an_empty_line_gets_the_seat_that_the_same_batch_frees(origin):
    course, holder = full_course(origin)
    first, second = make_student(), make_student()

    acts = [
        Act(Action.ENROLL, first.pk, course.pk, on_full=OnFull.WAITLIST),
        Act(Action.DROP, holder.pk, course.pk),
        Act(Action.ENROLL, second.pk, course.pk, on_full=OnFull.WAITLIST),
    ]
    perform(acts, origin)

    assert (seated(course), line(course)) == ([first.pk], [second.pk])


def test_a_newcomer_does_not_take_a_free_seat_while_somebody_waits(origin):
    course, holder = full_course(origin, code="C-1")
    [first] = waiting(course, 1, origin)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    [outcome] = perform([Act(Action.ENROLL, make_student().pk, course.pk)], origin)

    assert [(r.code, r.message) for r in outcome.refusals] == [
        ("course_full", "The free seats of C-1 go to waitlisted students first.")
    ]


def test_a_newcomer_who_waits_behind_somebody_who_may_not_have_the_seat_gets_it(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)
    newcomer = make_student()

    outcome = enroll(student_id=newcomer.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    assert outcome.enrollment is not None
    assert (outcome.enrollment.status, seated(course), line(course)) == ("enrolled", [newcomer.pk], [first.pk])


def test_who_no_longer_qualifies_is_passed_over_and_told_why_once(origin):
    course, holder = full_course(origin, capacity=1)
    first, second, third = waiting(course, 3, origin)
    first.is_active = False
    first.save()

    drop(student_id=holder.pk, course_id=course.pk, origin=origin)
    drop(student_id=second.pk, course_id=course.pk, origin=origin)

    assert (seated(course), line(course)) == ([third.pk], [first.pk])
    [passed_over] = EnrollmentEvent.objects.filter(action="pass_over")
    assert (passed_over.enrollment.student, passed_over.refusals) == (first, ["student_inactive"])
    assert (passed_over.reason, passed_over.channel) == ("This student is not active.", "system")
    assert (passed_over.from_status, passed_over.to_status, passed_over.changes) == ("waitlisted", "waitlisted", {})


def test_a_new_reason_to_be_passed_over_is_told_too(origin):
    course, holder = full_course(origin)
    first, second = waiting(course, 2, origin)
    first.is_active = False
    first.save()
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)
    Course.objects.update(prerequisites=["MATH-1"])

    drop(student_id=second.pk, course_id=course.pk, origin=origin)

    told = EnrollmentEvent.objects.filter(action="pass_over", enrollment__student=first)
    assert [event.refusals for event in told] == [["student_inactive"], ["student_inactive", "prerequisite_missing"]]


def test_promotion_goes_by_the_rules_as_they_are_then(origin):
    opens = datetime(2026, 9, 1, tzinfo=UTC)
    with time_machine.travel(opens, tick=False):
        course, holder = full_course(origin, enrollment_closes_at=opens + timedelta(days=1))
        [first] = waiting(course, 1, origin)

    with time_machine.travel(opens + timedelta(days=1), tick=False):
        drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert (seated(course), line(course)) == ([], [first.pk])
    assert EnrollmentEvent.objects.latest("pk").refusals == ["enrollment_closed"]


def test_a_waiver_that_let_somebody_wait_holds_until_they_have_their_seat(origin):
    course, holder = full_course(origin)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    may = type(origin)(origin.channel, may_waive=True)
    student = make_student()
    enroll(
        student_id=student.pk,
        course_id=course.pk,
        on_full=OnFull.WAITLIST,
        waive=["enrollment_closed"],
        reason="late transfer",
        origin=may,
    )

    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert seated(course) == [student.pk]
    assert EnrollmentEvent.objects.latest("pk").waived == ["enrollment_closed"]


def test_a_waiver_holds_for_a_seat_that_the_same_batch_frees(origin):
    course, holder = full_course(origin)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    student = make_student()
    waive = frozenset(["enrollment_closed"])

    acts = [
        Act(Action.ENROLL, student.pk, course.pk, None, "late transfer", OnFull.WAITLIST, waive),
        Act(Action.DROP, holder.pk, course.pk),
    ]
    perform(acts, type(origin)(origin.channel, may_waive=True))

    assert seated(course) == [student.pk]
    assert EnrollmentEvent.objects.latest("pk").waived == ["enrollment_closed"]


def test_a_waiver_that_was_undone_does_not_hold(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)
    Course.objects.update(enrollment_closes_at="2026-01-01T00:00Z")
    may = type(origin)(origin.channel, may_waive=True)
    both = ["course_full", "enrollment_closed"]
    enroll(student_id=first.pk, course_id=course.pk, waive=both, reason="by mistake", origin=may)
    undo(student_id=first.pk, course_id=course.pk, origin=origin)

    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert (seated(course), line(course)) == ([], [first.pk])


def test_a_waiver_moves_somebody_past_the_line_and_over_the_capacity(origin):
    course, holder = full_course(origin)
    first, second = waiting(course, 2, origin)
    may = type(origin)(origin.channel, may_waive=True)

    enroll(student_id=second.pk, course_id=course.pk, waive=["course_full"], reason="graduates", origin=may)

    assert (seated(course), line(course)) == ([holder.pk, second.pk], [first.pk])
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.from_status, event.to_status) == ("enroll", "waitlisted", "enrolled")
    assert (event.waived, event.reason) == (["course_full"], "graduates")


@pytest.mark.parametrize("capacity", [3, None])
def test_more_seats_let_in_as_many_as_there_are_seats(origin, capacity):
    course, holder = full_course(origin)
    students = waiting(course, 3, origin)
    Course.objects.update(capacity=capacity)

    promoted = promote([course.pk], origin=origin)

    expected = students if capacity is None else students[:2]
    assert [enrollment.student for enrollment in promoted] == expected
    assert seated(course) == [holder.pk, *(student.pk for student in expected)]


def test_fewer_seats_throw_nobody_out_and_let_nobody_in(origin):
    course = make_course(capacity=3, waitlist_capacity=5)
    inside = [make_student() for _ in range(3)]
    enroll_many([(student.pk, course.pk) for student in inside], origin=origin)
    [first] = waiting(course, 1, origin)
    Course.objects.update(capacity=1)

    for student in inside[:2]:
        drop(student_id=student.pk, course_id=course.pk, origin=origin)
    assert (seated(course), line(course)) == ([inside[2].pk], [first.pk])

    drop(student_id=inside[2].pk, course_id=course.pk, origin=origin)
    assert (seated(course), line(course)) == ([first.pk], [])


def test_completing_what_a_course_asks_for_gives_the_free_seat_in_it(origin):
    asked_for = make_course(code="MATH-1")
    course, holder = full_course(origin, code="MATH-2")
    [first] = waiting(course, 1, origin)
    Course.objects.filter(pk=course.pk).update(prerequisites=["MATH-1"])
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)
    assert (seated(course), line(course)) == ([], [first.pk])
    enroll(student_id=first.pk, course_id=asked_for.pk, origin=origin)

    complete(student_id=first.pk, course_id=asked_for.pk, origin=origin)

    assert (seated(course), line(course)) == ([first.pk], [])


def test_arrival_is_the_order_of_the_lock_whatever_the_clocks_say(origin):
    course, _holder = full_course(origin)
    with time_machine.travel("2026-09-01T12:00:00Z", tick=False):
        [first] = waiting(course, 1, origin)
    with time_machine.travel("2026-09-01T11:59:59Z", tick=False):  # another server, whose clock is behind
        second = make_student()
        enroll(student_id=second.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    assert line(course) == [first.pk, second.pk]


# Undo


def test_undoing_an_enrollment_drops_it_and_frees_the_seat(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)

    undo(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert seated(course) == [first.pk]
    assert StudentCourse.objects.get(student=holder).status == "dropped"


def test_undoing_a_drop_gives_the_seat_back_where_it_is_still_free(origin):
    course, holder = full_course(origin)
    before = StudentCourse.objects.get()
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    undo(student_id=holder.pk, course_id=course.pk, origin=origin, reason="wrong button")

    after = StudentCourse.objects.get()
    assert (after.status, after.enrolled_on, after.ended_on, after.version) == ("enrolled", before.enrolled_on, None, 3)
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.from_status, event.to_status) == ("undo", "dropped", "enrolled")
    assert event.reason == "wrong button"


def test_undoing_a_drop_does_not_take_the_seat_from_who_has_it_now(origin):
    course, holder = full_course(origin)
    [first] = waiting(course, 1, origin)
    drop(student_id=holder.pk, course_id=course.pk, origin=origin)

    with pytest.raises(Refused) as refused:
        undo(student_id=holder.pk, course_id=course.pk, origin=origin)

    assert [refusal.code for refusal in refused.value.refusals] == ["course_full"]
    assert seated(course) == [first.pk]


def test_undoing_a_drop_from_the_line_gives_the_old_place_back(origin):
    course, _holder = full_course(origin)
    first, second = waiting(course, 2, origin)
    drop(student_id=first.pk, course_id=course.pk, origin=origin)

    undo(student_id=first.pk, course_id=course.pk, origin=origin)

    assert line(course) == [first.pk, second.pk]


def test_undoing_a_grade_gives_the_earlier_one_back_and_undoing_a_completion_the_seat(origin):
    course, student = make_course(), make_student()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)
    complete(student_id=student.pk, course_id=course.pk, grade="B", origin=origin)
    complete(student_id=student.pk, course_id=course.pk, grade="A", origin=origin)

    undo(student_id=student.pk, course_id=course.pk, origin=origin)

    enrollment = StudentCourse.objects.get()
    assert (enrollment.status, enrollment.grade) == ("completed", "B")
    with pytest.raises(Refused) as refused:
        undo(student_id=student.pk, course_id=course.pk, origin=origin)
    assert [refusal.code for refusal in refused.value.refusals] == ["illegal_transition"]


def test_an_act_and_its_undoing_in_one_batch_leave_what_was(origin):
    course, student = make_course(), make_student()

    perform([Act(action, student.pk, course.pk) for action in (Action.ENROLL, Action.DROP, Action.UNDO)], origin)

    enrollment = StudentCourse.objects.get()
    assert (enrollment.status, enrollment.ended_on, enrollment.version) == ("enrolled", None, 3)
