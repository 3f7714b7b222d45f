"""Statistics of the dashboard: their values, and a query count that does not depend on the data."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine

from bulk.models import Import, State
from students.admin.dashboard import statistics
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, RefusedAct, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

TODAY = date(2026, 9, 10)


def at(day):
    return ActorContext(Channel.SYSTEM, at=datetime(2026, 9, day, 12, tzinfo=UTC), may_waive=True)


@pytest.fixture
def fall():
    return make_term(code="2026F", name="Fall", starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 31))


def fill(course, seated, *, waiting=0, day=1):
    """Enroll this many students, even above the capacity, and waitlist that many."""
    for number in range(seated + waiting):
        wish = {"on_full": "waitlist"} if number >= seated else {"waived_codes": ["course_full"], "reason": "test"}
        enroll(student_id=make_student().pk, course_id=course.pk, actor=at(day), **wish)


def test_statistics_use_terms_that_are_not_over_and_select_the_current_one(fall):
    past = make_term(code="2026S", starts_on=date(2026, 2, 1), ends_on=date(2026, 7, 31))
    spring = make_term(code="2027S", starts_on=date(2027, 2, 1), ends_on=date(2027, 7, 31))

    def chosen(today):
        terms = statistics.current_and_upcoming_terms(today)
        return terms, statistics.current_term(terms, today)

    assert chosen(TODAY) == ([fall, spring], fall)
    assert chosen(date(2026, 8, 15)) == ([fall, spring], fall)
    assert chosen(date(2026, 7, 31)) == ([past, fall, spring], past)
    assert chosen(date(2028, 1, 1)) == ([spring], spring)


def test_without_terms_no_term_is_selected():
    assert (statistics.current_and_upcoming_terms(TODAY), statistics.current_term([], TODAY)) == ([], None)


def test_seats_are_summed_by_term_and_level(fall):
    fill(make_course(term=fall, level="graduate", capacity=5), 3)
    fill(make_course(term=fall, level="introductory", capacity=2, waitlist_capacity=9), 2, waiting=2)
    fill(make_course(term=fall, level="introductory", capacity=None), 4)
    fill(make_course(term=fall, level="introductory", capacity=1, is_active=True), 2)
    make_course(term=fall, level="advanced", capacity=9, is_active=False)
    make_course(term=None, level="advanced", capacity=7)

    of_fall, without = statistics.seats_by_term([fall], statistics.active_course_seats())

    assert of_fall.total == statistics.SeatTotals(
        courses=4, capacity=8, taken=11, limited_taken=7, free=2, waiting=2, unlimited=1
    )
    assert [(level, each.taken, each.free, each.waiting) for level, each in of_fall.by_level.items()] == [
        ("introductory", 8, 0, 2),
        ("graduate", 3, 2, 0),
    ]
    assert (without.term, without.total.free) == (None, 7)


def test_courses_are_sorted_by_fill_rate_then_by_waitlist_length():
    for code, capacity, seated, waiting in [
        ("HALF", 4, 2, 0),
        ("LINE", 2, 2, 1),
        ("FULL", 2, 2, 0),
        ("OVER", 1, 2, 0),
        ("FREE", None, 9, 0),
        ("SHUT", 0, 0, 0),
    ]:
        fill(make_course(code=code, capacity=capacity, waitlist_capacity=None), seated, waiting=waiting)

    assert [course.key for course in statistics.fullest(statistics.active_course_seats(), 3)] == [
        "OVER",
        "LINE",
        "FULL",
    ]


def test_courses_that_need_attention_are_listed_with_the_reason():
    over, held_up, fine = (make_course(code=code, capacity=1, waitlist_capacity=5) for code in ("OVER", "HELD", "FINE"))
    fill(over, 2)
    fill(held_up, 1, waiting=1)
    fill(fine, 1, waiting=1)
    held_up.capacity = 3
    held_up.save()  # unlike an import of courses, which promotes students

    told = {course.key: (course.is_over, course.is_waitlist_stuck) for course in statistics.active_course_seats()}

    assert told == {"OVER": (True, False), "HELD": (False, True), "FINE": (False, False)}


def test_daily_counts_show_enrollments_and_departures(fall):
    course = make_course(term=fall)
    fill(course, 2, day=2)
    fill(course, 1, day=5)
    fill(make_course(term=None), 4, day=3)
    leaving = StudentCourse.objects.order_by("pk")[0]
    drop(student_id=leaving.student_id, course_id=course.pk, actor=at(4))

    days = statistics.daily_counts(fall, date(2026, 9, 6))

    assert [(day.day.day, day.enrolled, day.left) for day in days] == [
        (2, 2, 0),
        (3, 0, 0),
        (4, 0, 1),
        (5, 1, 0),
        (6, 0, 0),
    ]


def test_a_term_without_enrollments_has_no_daily_counts(fall):
    assert statistics.daily_counts(fall, TODAY) == []


def test_a_day_long_before_the_term_is_left_out(fall):
    course = make_course(term=fall)
    enroll(
        student_id=make_student().pk,
        course_id=course.pk,
        actor=ActorContext(Channel.SYSTEM, at=datetime(1999, 1, 1, tzinfo=UTC)),
    )

    days = statistics.daily_counts(fall, date(2026, 9, 6))

    assert (days[0].day, sum(day.enrolled for day in days)) == (fall.starts_on - statistics.MAX_LEAD, 0)


@time_machine.travel("2026-09-10T12:00Z")
def test_pending_imports_of_any_age_and_recent_failed_imports_are_counted():
    for number, (state, age) in enumerate(
        [
            (State.NEEDS_REVIEW, 300),
            (State.FAILED, 1),
            (State.FAILED, 30),
            (State.DONE_WITH_ERRORS, 2),
            (State.DONE, 0),
            (State.CANCELLED, 0),
        ]
    ):
        day = datetime(2026, 9, 10, tzinfo=UTC) - timedelta(days=age)
        Import.objects.create(kind="students", dataset=str(number), door="admin", state=state, created_at=day)

    assert statistics.imports_by_state(TODAY - timedelta(days=7)) == {
        "needs_review": 1,
        "failed": 1,
        "done_with_errors": 1,
    }


def refuse(student, codes, day=TODAY, course=None):
    course = course or make_course()
    RefusedAct.objects.create(day=day, student=student, course=course, action="enroll", channel="api", codes=codes)


def test_refused_students_are_counted_once_and_reasons_each_time():
    ada, mary = make_student(), make_student()
    refuse(ada, "course_full")
    refuse(ada, "course_full enrollment_closed")
    refuse(mary, "course_full")
    refuse(mary, "course_full", day=TODAY - timedelta(days=1))

    assert statistics.refusals_on(TODAY) == statistics.RefusalSummary(2, [("course_full", 3), ("enrollment_closed", 1)])


@pytest.mark.parametrize("size", [1, 12])
def test_the_query_count_of_statistics_does_not_depend_on_the_data(fall, size, django_assert_num_queries):
    for _ in range(size):
        fill(make_course(term=fall, capacity=2, waitlist_capacity=9), 2, waiting=1)
        refuse(make_student(), "course_full")

    with django_assert_num_queries(8):
        terms = statistics.current_and_upcoming_terms(TODAY)
        courses = statistics.active_course_seats()
        statistics.seats_by_term(terms, courses)
        statistics.fullest(courses, 10)
        statistics.daily_counts(fall, TODAY)
        statistics.imports_by_state(TODAY)
        statistics.refusals_on(TODAY)
