"""Activation and deactivation of many students or courses in the admin, and deletion of unused rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Course
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

COURSES, STUDENTS = "/admin/courses/course/", "/admin/students/student/"


def preview(desk, path, action, rows, **form):
    return desk.post(path, {"action": action, "_selected_action": [row.pk for row in rows], **form})


def confirm(desk, page, path, action, rows):
    return preview(desk, path, action, rows, step="confirm", shown=page.context["fingerprint"])


@pytest.fixture
def waitlisted(actor):
    """A waitlisted enrollment in an inactive course that has a free seat."""
    course = make_course(code="MATH-101", capacity=0, waitlist_capacity=9)
    waiting = enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor).enrollment
    Course.objects.filter(pk=course.pk).update(capacity=1, is_active=False)
    return waiting


def test_activating_courses_shows_promotions_before_the_confirmation(registrar_client, registrar, waitlisted):
    course, other = waitlisted.course, make_course()

    page = preview(registrar_client, COURSES, "activate", [course, other])

    assert [[row.pk for row in page.context[name]] for name in ("changed", "unchanged")] == [[course.pk], [other.pk]]
    assert [row.enrollment_id for row in page.context["preview"].promoted] == [waitlisted.pk]
    assert page.context["seat_counts"] == {"taken": 0, "waiting": 1}
    assert not Course.objects.get(pk=course.pk).is_active
    assert StudentCourse.objects.get().status == "waitlisted"

    result = registrar_client.get(confirm(registrar_client, page, COURSES, "activate", [course, other])["Location"])

    assert Course.objects.get(pk=course.pk).is_active
    assert StudentCourse.objects.get().status == "enrolled"
    assert [row.enrollment_id for row in result.context["preview"].promoted] == [waitlisted.pk]
    newest = course.history.latest()
    assert (newest.is_active, newest.history_user) == (True, registrar)


def test_students_made_inactive_keep_their_enrollments(registrar_client, actor):
    students = [make_student(), make_student(is_active=False)]
    enroll(student_id=students[0].pk, course_id=make_course().pk, actor=actor)

    page = preview(registrar_client, STUDENTS, "deactivate", students)
    assert page.context["seat_counts"] == {"taken": 1, "waiting": 0}
    answer = confirm(registrar_client, page, STUDENTS, "deactivate", students)

    assert answer["Location"] == STUDENTS
    assert set(Student.objects.values_list("is_active", flat=True)) == {False}
    assert StudentCourse.objects.get().status == "enrolled"


def test_activation_is_not_executed_when_the_data_changed_after_the_preview(registrar_client, waitlisted):
    page = preview(registrar_client, COURSES, "activate", [waitlisted.course])
    Course.objects.update(capacity=0)

    again = confirm(registrar_client, page, COURSES, "activate", [waitlisted.course])

    assert (again.context["is_stale"], again.context["preview"].promoted) == (True, [])
    assert not Course.objects.get().is_active


def test_a_viewer_cannot_activate_or_deactivate(viewer, client):
    client.force_login(viewer)
    course = make_course()

    preview(client, COURSES, "deactivate", [course], step="confirm", shown="x")

    assert Course.objects.get().is_active


@pytest.mark.parametrize("size", [2, 40])
def test_the_query_count_of_activation_does_not_depend_on_the_number_of_rows(registrar_client, actor, size):
    courses = [make_course(capacity=0, waitlist_capacity=9, term=make_term()) for _ in range(size)]
    for course in courses:
        enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    Course.objects.update(capacity=1, is_active=False)

    with CaptureQueriesContext(connection) as looking:
        page = preview(registrar_client, COURSES, "activate", courses)
    with CaptureQueriesContext(connection) as doing:
        confirm(registrar_client, page, COURSES, "activate", courses)

    # Without the savepoints that replace transactions in a test.
    asked = [sum("SAVEPOINT" not in query["sql"] for query in queries) for queries in (looking, doing)]
    assert max(asked) < 25
    assert StudentCourse.objects.enrolled().count() == size


@pytest.mark.parametrize("size", [1, 30])
def test_the_deletion_page_lists_protected_rows_and_the_reasons(
    registrar_client, actor, size, django_assert_max_num_queries
):
    kept, free = make_student(student_number="S-1", given_name="Ada", family_name="Byron"), make_student()
    term = make_term(code="2026F", name="Fall")
    for _ in range(size):
        enroll(student_id=kept.pk, course_id=make_course(term=term).pk, actor=actor)

    with django_assert_max_num_queries(24):
        page = preview(registrar_client, STUDENTS, "delete_selected", [kept, free])
    with django_assert_max_num_queries(24):
        of_term = preview(registrar_client, "/admin/courses/term/", "delete_selected", [term])

    assert page.context["protected"] == [f"S-1 Ada Byron (enrollments: {size})"]
    assert of_term.context["protected"] == [f"{term} (courses: {size})"]
    assert "Nothing was deleted, because other objects refer to these objects" in page.content.decode()
    assert registrar_client.get(f"{STUDENTS}{kept.pk}/delete/").context["protected"] == page.context["protected"]
    preview(registrar_client, STUDENTS, "delete_selected", [kept, free], post="yes")
    assert Student.objects.count() == 2
    preview(registrar_client, STUDENTS, "delete_selected", [free], post="yes")
    assert list(Student.objects.all()) == [kept]
