"""The undo of a cancellation restores enrollments for which rules were waived."""

from dataclasses import replace

import pytest

from courses.meetings import parse_meetings
from courses.models import Course
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Status, StudentCourse
from tests.students.test_cancellations import codes, post, rows
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

MONDAY = parse_meetings("mon 10:00-11:30")
CODES = ["other_section", "time_conflict", "too_many_credits"]


@pytest.fixture
def registrar(actor):
    """An actor that may waive rules."""
    return replace(actor, may_waive=True)


@pytest.fixture
def term():
    return make_term(max_credits=3)


def make_obstacle(code, course, section="B"):
    """Another course that a student cannot take together with the course, because of one rule."""
    fields = {
        "other_section": {"code": course.code, "section": section},
        "time_conflict": {"meetings": MONDAY},
        "too_many_credits": {"credits": 2},
    }
    return make_course(term=course.term, **fields[code])


@pytest.fixture
def course(term):
    return make_course(term=term, section="A", meetings=MONDAY, credits=2, capacity=1, waitlist_capacity=None)


def waive(student, course, code, registrar, **fields):
    return enroll(
        student_id=student.pk, course_id=course.pk, waived_codes=[code], reason="agreed", actor=registrar, **fields
    )


def cancel_and_undo(api, course):
    assert post(api, course).status_code == 200
    return post(api, course, "cancel/undo", {})


@pytest.mark.parametrize("code", CODES)
def test_a_rule_that_was_waived_for_an_enrollment_is_waived_again_by_the_undo(code, course, api, registrar):
    student = make_student()
    enroll(student_id=student.pk, course_id=make_obstacle(code, course).pk, actor=registrar)
    waive(student, course, code, registrar)
    before = rows(course)

    answers = [cancel_and_undo(api, course).status_code for _ in range(2)]

    assert (answers, rows(course)) == ([200, 200], before)
    undo = EnrollmentEvent.objects.order_by("pk").last()
    assert undo is not None
    assert (undo.action, undo.waived, undo.reason) == ("undo", [code], "")


def test_seats_above_the_capacity_are_restored_and_others_keep_theirs(course, api, registrar):
    students = [make_student() for _ in range(3)]
    Course.objects.filter(pk=course.pk).update(capacity=0)
    waive(students[0], course, "course_full", registrar)
    Course.objects.filter(pk=course.pk).update(capacity=2)
    enroll(student_id=students[1].pk, course_id=course.pk, actor=registrar)
    waive(students[2], course, "course_full", registrar)
    Course.objects.filter(pk=course.pk).update(capacity=1)
    before = rows(course)

    answer = cancel_and_undo(api, course)

    assert (answer.status_code, answer.json()["enrolled"], rows(course)) == (200, 3, before)


def test_a_waiver_of_a_promoted_student_is_restored(course, api, registrar):
    student, other = make_student(), make_student()
    enroll(student_id=student.pk, course_id=make_obstacle("time_conflict", course).pk, actor=registrar)
    enroll(student_id=other.pk, course_id=course.pk, actor=registrar)
    waive(student, course, "time_conflict", registrar, on_full=OnFull.WAITLIST)
    api.patch(f"/api/v1/courses/{course.pk}", {"capacity": 2}, format="json")
    assert StudentCourse.objects.get(course=course, student=student).status == Status.ENROLLED
    before = rows(course)

    assert (cancel_and_undo(api, course).status_code, rows(course)) == (200, before)


@pytest.mark.parametrize("code", CODES)
def test_an_obstacle_that_exists_only_since_the_cancellation_is_not_waived(code, course, api, registrar):
    student = make_student()
    sections = iter("BC")
    old, new = (make_obstacle(code, course, section=next(sections)) for _ in range(2))
    enroll(student_id=student.pk, course_id=old.pk, actor=registrar)
    waive(student, course, code, registrar)
    post(api, course)
    waive(student, new, code, registrar)
    before = rows(course)

    answer = post(api, course, "cancel/undo", {})

    assert (codes(answer), rows(course)) == ((409, [(code, None)]), before)


def test_a_waiver_of_one_student_does_not_give_a_seat_above_the_capacity_to_another(course, api, registrar):
    first, second = make_student(), make_student()
    enroll(student_id=first.pk, course_id=course.pk, actor=registrar)
    waive(second, course, "course_full", registrar)
    post(api, course)
    Course.objects.filter(pk=course.pk).update(capacity=0)
    before = rows(course)

    answer = post(api, course, "cancel/undo", {})

    assert (codes(answer), rows(course)) == ((409, [("course_full", None)]), before)
