"""The table of grades changes while a course is being completed."""

import pytest
from django.db import connection, transaction

from courses.models import Course, Grade
from courses.prerequisites import lock_prerequisites
from students.enrollment import complete, enroll, promote_by_grades
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, StudentCourse
from tests.support.factories import make_course, make_grades, make_student
from tests.support.races import BackgroundCall, a_lock_is_waited_for, uncommitted

ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap"),
]


@transaction.atomic
def let_d_pass():
    lock_prerequisites()
    Grade.objects.filter(code="D").update(passes=True)
    promote_by_grades(actor=ORIGIN)


@pytest.mark.parametrize("completes_first", [True, False])
def test_a_student_who_qualifies_by_both_changes_gets_the_seat(completes_first):
    make_grades("A", "DF")
    student, basic = make_student(), make_course(code="BASIC")
    wanted = make_course(capacity=0, waitlist_capacity=1)
    for course in (basic, wanted):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=ORIGIN)
    Course.objects.filter(pk=wanted.pk).update(capacity=1, prerequisites=["BASIC"])

    def complete_with_d():
        complete(student_id=student.pk, course_id=basic.pk, grade="D", actor=ORIGIN)

    first, second = (complete_with_d, let_d_pass) if completes_first else (let_d_pass, complete_with_d)
    with uncommitted(first):
        changing = BackgroundCall(second)
        waited = a_lock_is_waited_for()
    changing.join()

    assert (waited, changing.error) == (True, None)
    assert StudentCourse.objects.get(course=wanted).status == "enrolled"
