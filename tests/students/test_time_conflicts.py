"""A student cannot be in two places at the same time, unless the rule is waived."""

import pytest
from django.conf import settings

from courses.api_client_creation import create_api_client
from courses.meetings import parse_meetings
from courses.models import Course
from school.models import ApiClient
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, undo
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


def meeting(code, text, **fields):
    return make_course(code=code, meetings=parse_meetings(text), **fields)


def refusals(student, course, actor):
    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    return [(each.code, each.message) for each in refused.value.refusals]


def test_a_refusal_names_the_other_courses_and_the_times(actor):
    student, term = make_student(), make_term()
    for code, text in (("CS-1", "mon 10:00-11:30"), ("CS-2", "wed 8:00-9:00"), ("CS-3", "fri 8:00-9:00")):
        enroll(student_id=student.pk, course_id=meeting(code, text, term=term).pk, actor=actor)
    course = meeting("MATH-2", "mon 11:00-12:00; wed 8:30-9:30", term=term)

    expected = (
        "MATH-2 meets at the same time as another course: CS-1 (Monday 11:00-11:30), CS-2 (Wednesday 08:30-09:00)."
    )
    assert refusals(student, course, actor) == [("time_conflict", expected)]


def test_only_enrolled_courses_count(actor):
    student = make_student()
    completed, dropped, waitlisted = (meeting(f"CS-{n}", "mon 10:00-11:00") for n in range(3))
    for course in (completed, dropped):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        (complete if course is completed else drop)(student_id=student.pk, course_id=course.pk, actor=actor)
    Course.objects.filter(pk=waitlisted.pk).update(capacity=0, waitlist_capacity=1)
    enroll(student_id=student.pk, course_id=waitlisted.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert enroll(student_id=student.pk, course_id=meeting("MATH-2", "mon 10:00-11:00").pk, actor=actor).changed


def passed_over(actor):
    """Return a student who was passed over in a course because of its time, that course, and the other one."""
    student, leaving = make_student(), make_student()
    wanted, other = meeting("WANTED", "mon 10:00-11:00", capacity=1), meeting("OTHER", "mon 10:30-12:00")
    Course.objects.filter(pk=wanted.pk).update(waitlist_capacity=None)
    for each in (leaving, student):
        enroll(student_id=each.pk, course_id=wanted.pk, on_full=OnFull.WAITLIST, actor=actor)
    enroll(student_id=student.pk, course_id=other.pk, actor=actor)
    drop(student_id=leaving.pk, course_id=wanted.pk, actor=actor)
    assert EnrollmentEvent.objects.latest("pk").refusals == ["time_conflict"]
    return student, wanted, other


@pytest.mark.parametrize("leave", [drop, complete, undo])
def test_a_student_who_leaves_a_course_gets_the_seat_that_its_time_prevented(leave, actor):
    student, wanted, other = passed_over(actor)

    leave(student_id=student.pk, course_id=other.pk, actor=actor)

    assert StudentCourse.objects.enrolled().filter(student=student, course=wanted).exists()


def test_a_change_of_the_meetings_of_another_course_promotes_the_student(actor, api):
    student, wanted, other = passed_over(actor)

    answer = api.patch(f"/api/v1/courses/{other.pk}", {"meetings": []}, format="json")

    assert answer.status_code == 200
    assert StudentCourse.objects.enrolled().filter(student=student, course=wanted).exists()


def test_a_limited_client_learns_the_time_and_not_the_course(actor):
    student, term = make_student(), make_term(code="2026F")
    enroll(student_id=student.pk, course_id=meeting("SECRET-1", "mon 10:00-11:00").pk, actor=actor)
    course = meeting("MATH-2", "mon 10:00-11:00", term=term)
    keys = create_api_client("portal", " ".join(settings.SCOPES), terms=["2026F"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)

    answer = client.post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk}, format="json")

    expected = "MATH-2 meets at the same time as another course: Monday 10:00-11:00."
    assert [each["message"] for each in answer.json()["errors"]] == [expected]


def test_the_student_page_shows_the_week(registrar_client, actor):
    student = make_student()
    for code, text in (("CS-1", "wed 10:00-11:30 R12"), ("CS-2", "mon 8:00-9:00; wed 8:00-9:00 ..2026-10-01")):
        enroll(student_id=student.pk, course_id=meeting(code, text).pk, actor=actor)

    answer = registrar_client.get(f"/admin/students/student/{student.pk}/change/")

    [schedule] = answer.context["by_term"]
    week = [(str(day), [(each["from"], course.code) for each, course in rows]) for day, rows in schedule.week]
    assert week == [("Monday", [("08:00", "CS-2")]), ("Wednesday", [("08:00", "CS-2"), ("10:00", "CS-1")])]
    assert "10:00–11:30" in answer.content.decode()
