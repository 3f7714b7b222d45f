"""Making many students or courses active or inactive in the admin, and deleting what has no history."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Course
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import Student, StudentCourse
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

COURSES, STUDENTS = "/admin/courses/course/", "/admin/students/student/"


def look(desk, path, action, rows, **form):
    return desk.post(path, {"action": action, "_selected_action": [row.pk for row in rows], **form})


def confirm(desk, page, path, action, rows):
    return look(desk, path, action, rows, step="confirm", shown=page.context["fingerprint"])


@pytest.fixture
def line(origin):
    """A course that became inactive while somebody waited for a seat that is free now."""
    course = make_course(code="MATH-101", capacity=0, waitlist_capacity=9)
    waiting = enroll(
        student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin
    ).enrollment
    Course.objects.filter(pk=course.pk).update(capacity=1, is_active=False)
    return waiting


def test_courses_become_active_with_who_gets_a_seat_shown_first(registrars_desk, registrar, line):
    course, other = line.course, make_course()

    page = look(registrars_desk, COURSES, "activate", [course, other])

    assert [[row.pk for row in page.context[name]] for name in ("changed", "same")] == [[course.pk], [other.pk]]
    assert [row.enrollment_id for row in page.context["told"].promoted] == [line.pk]
    assert page.context["places"] == {"taken": 0, "waiting": 1}
    assert not Course.objects.get(pk=course.pk).is_active
    assert StudentCourse.objects.get().status == "waitlisted"

    result = registrars_desk.get(confirm(registrars_desk, page, COURSES, "activate", [course, other])["Location"])

    assert Course.objects.get(pk=course.pk).is_active
    assert StudentCourse.objects.get().status == "enrolled"
    assert [row.enrollment_id for row in result.context["told"].promoted] == [line.pk]
    newest = course.history.latest()
    assert (newest.is_active, newest.history_user) == (True, registrar)


def test_students_become_inactive_and_keep_what_they_have(registrars_desk, origin):
    students = [make_student(), make_student(is_active=False)]
    enroll(student_id=students[0].pk, course_id=make_course().pk, origin=origin)

    page = look(registrars_desk, STUDENTS, "deactivate", students)
    assert page.context["places"] == {"taken": 1, "waiting": 0}
    answer = confirm(registrars_desk, page, STUDENTS, "deactivate", students)

    assert answer["Location"] == STUDENTS
    assert set(Student.objects.values_list("is_active", flat=True)) == {False}
    assert StudentCourse.objects.get().status == "enrolled"


def test_nothing_is_done_where_somebody_was_quicker(registrars_desk, line):
    page = look(registrars_desk, COURSES, "activate", [line.course])
    Course.objects.update(capacity=0)

    again = confirm(registrars_desk, page, COURSES, "activate", [line.course])

    assert (again.context["differs"], again.context["told"].promoted) == (True, [])
    assert not Course.objects.get().is_active


def test_a_viewer_switches_nothing(viewer, client):
    client.force_login(viewer)
    course = make_course()

    look(client, COURSES, "deactivate", [course], step="confirm", shown="x")

    assert Course.objects.get().is_active


@pytest.mark.parametrize("size", [2, 40])
def test_switching_costs_the_same_however_many(registrars_desk, origin, size):
    courses = [make_course(capacity=0, waitlist_capacity=9, term=make_term()) for _ in range(size)]
    for course in courses:
        enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)
    Course.objects.update(capacity=1, is_active=False)

    with CaptureQueriesContext(connection) as looking:
        page = look(registrars_desk, COURSES, "activate", courses)
    with CaptureQueriesContext(connection) as doing:
        confirm(registrars_desk, page, COURSES, "activate", courses)

    # Without the savepoints that stand in for transactions in a test.
    asked = [sum("SAVEPOINT" not in query["sql"] for query in queries) for queries in (looking, doing)]
    assert max(asked) < 25
    assert StudentCourse.objects.seated().count() == size


@pytest.mark.parametrize("size", [1, 30])
def test_the_page_that_deletes_says_what_is_kept_and_why(registrars_desk, origin, size, django_assert_max_num_queries):
    kept, free = make_student(student_number="S-1", given_name="Ada", family_name="Byron"), make_student()
    term = make_term(code="2026F", name="Fall")
    for _ in range(size):
        enroll(student_id=kept.pk, course_id=make_course(term=term).pk, origin=origin)

    with django_assert_max_num_queries(24):
        page = look(registrars_desk, STUDENTS, "delete_selected", [kept, free])
    with django_assert_max_num_queries(24):
        of_term = look(registrars_desk, "/admin/courses/term/", "delete_selected", [term])

    assert page.context["protected"] == [f"S-1 Ada Byron (enrollments: {size})"]
    assert of_term.context["protected"] == [f"{term} (courses: {size})"]
    assert "Nothing was deleted, because other objects refer to these objects" in page.content.decode()
    assert registrars_desk.get(f"{STUDENTS}{kept.pk}/delete/").context["protected"] == page.context["protected"]
    look(registrars_desk, STUDENTS, "delete_selected", [kept, free], post="yes")
    assert Student.objects.count() == 2
    look(registrars_desk, STUDENTS, "delete_selected", [free], post="yes")
    assert list(Student.objects.all()) == [kept]
