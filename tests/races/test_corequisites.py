"""A student joins the waitlist of a corequisite while another transaction frees its seat."""

import pytest
from django.db import connection

from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import StudentCourse
from tests.students.test_seats_by_other_courses import REGISTRAR, SEAT, leave, wait, waive
from tests.support.factories import make_course, make_student, make_term
from tests.support.races import BackgroundCall, a_lock_is_waited_for, uncommitted

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap"),
]


def test_a_drop_sees_who_has_joined_the_waitlist_while_it_waited_for_the_course():
    term, student = make_term(), make_student()
    lecture = make_course(code="JL", term=term, **SEAT)
    lab = make_course(code="JP", term=term, corequisites=["JL"], **SEAT)
    waive(student, lecture)
    holder_of_lab = wait(student, lab)
    leave(student, lecture)
    leave(holder_of_lab, lab)
    holder = make_student()
    waive(holder, lecture)

    def join() -> None:
        enroll(student_id=student.pk, course_id=lecture.pk, on_full=OnFull.WAITLIST, actor=REGISTRAR)

    with uncommitted(join):
        dropping = BackgroundCall(lambda: drop(student_id=holder.pk, course_id=lecture.pk, actor=REGISTRAR))
        assert a_lock_is_waited_for()
    dropping.join()

    assert dropping.error is None
    taken = StudentCourse.objects.enrolled().filter(student=student).order_by("course__code")
    assert list(taken.values_list("course__code", flat=True)) == ["JL", "JP"]
