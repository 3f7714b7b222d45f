"""The admin pages of students, courses and enrollments, as a registrar uses them."""

import re

import pytest
from django.utils.html import strip_tags

from students.enrollment import complete, dry_run, enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

ENROLLMENTS = "/admin/students/studentcourse/"


def make_enrollment(student, course, actor):
    return enroll(student_id=student.pk, course_id=course.pk, actor=actor).enrollment


def text(answer):
    return re.sub(r"\s+", " ", strip_tags(answer.content.decode()))


def errors(answer):
    return [str(error) for error in answer.context["adminform"].form.non_field_errors()]


def test_adding_an_enrollment_in_the_admin_records_actor_and_reason(registrar_client, registrar):
    student, course = make_student(), make_course()

    answer = registrar_client.post(
        f"{ENROLLMENTS}add/", {"student": student.pk, "course": course.pk, "reason": "transfer"}, follow=True
    )

    enrollment, event = StudentCourse.objects.get(), EnrollmentEvent.objects.get()
    assert (enrollment.student, enrollment.course, enrollment.status) == (student, course, "enrolled")
    assert (event.actor, event.channel, event.reason, event.enrollment) == (registrar, "admin", "transfer", enrollment)
    assert answer.redirect_chain == [(ENROLLMENTS, 302)]


def test_a_refusal_is_a_form_error_with_every_reason_and_saves_nothing(registrar_client):
    student, course = make_student(is_active=False), make_course(code="MATH-101", is_active=False, capacity=0)

    answer = registrar_client.post(f"{ENROLLMENTS}add/", {"student": student.pk, "course": course.pk})

    assert errors(answer) == ["This student is not active.", "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


@pytest.mark.parametrize("form", [{}, {"student": "9"}, {"student": "x", "course": "y"}])
def test_an_incomplete_form_has_errors_on_the_required_fields(registrar_client, form):
    answer = registrar_client.post(f"{ENROLLMENTS}add/", form)

    assert (answer.status_code, StudentCourse.objects.count()) == (200, 0)
    assert set(answer.context["adminform"].form.errors) == {"student", "course"}


def test_an_enrollment_cannot_be_edited_or_deleted_in_the_admin(registrar_client, actor):
    enrollment = make_enrollment(make_student(), make_course(), actor)

    edited = registrar_client.post(f"{ENROLLMENTS}{enrollment.pk}/change/", {"status": "completed"})
    deleted = registrar_client.post(f"{ENROLLMENTS}{enrollment.pk}/delete/", {"post": "yes"})

    assert (edited.status_code, deleted.status_code) == (403, 403)
    form = {"action": "delete_selected", "_selected_action": [enrollment.pk]}
    told = registrar_client.post(ENROLLMENTS, form, follow=True).context["messages"]
    assert [str(message) for message in told] == ["No action selected."]
    assert StudentCourse.objects.get().status == "enrolled"


def test_the_enrollment_page_shows_its_journal(registrar_client, registrar, actor):
    enrollment = make_enrollment(make_student(), make_course(), actor)
    complete(
        student_id=enrollment.student_id,
        course_id=enrollment.course_id,
        grade="A",
        reason="exam",
        actor=ActorContext(Channel.ADMIN, actor_id=registrar.pk),
    )

    page = text(registrar_client.get(f"{ENROLLMENTS}{enrollment.pk}/change/"))

    assert "– enrolled – system" in page
    assert "enrolled completed registrar admin exam" in page


def test_the_course_list_shows_the_seats(registrar_client, actor):
    course = make_course(code="MATH-101", name="Calculus I", capacity=3, term=make_term(code="2026F"))
    make_course(code="OPEN-1", name="No limit", capacity=None)
    make_enrollment(make_student(), course, actor)

    page = registrar_client.get("/admin/courses/course/?rows=all")

    rows = [(c.code, page.context["cl"].model_admin.taken(c), c.capacity) for c in page.context["cl"].result_list]
    assert rows == [("MATH-101", 1, 3), ("OPEN-1", 0, None)]
    assert "MATH-101 Calculus I 2026F - 3 1 2 0" in text(page)
    assert "OPEN-1 No limit - - - 0 no limit 0" in text(page)


def test_the_student_page_lists_courses_and_the_course_page_lists_the_roster(registrar_client, actor):
    student = make_student(student_number="S-7", given_name="Ada", family_name="Byron")
    course = make_course(code="MATH-101", name="Calculus I")
    make_enrollment(student, course, actor)
    of_student = text(registrar_client.get(f"/admin/students/student/{student.pk}/change/"))
    of_course = text(registrar_client.get(f"/admin/courses/course/{course.pk}/change/"))

    assert "MATH-101 Calculus I enrolled" in of_student
    assert "S-7 Byron, Ada" in of_course


def test_a_viewer_can_view_but_not_change(viewer, client, actor):
    client.force_login(viewer)
    enrollment = make_enrollment(make_student(), make_course(), actor)
    student = enrollment.student

    page = text(client.get(f"/admin/students/student/{student.pk}/change/"))

    assert ("Show all" in page, "Enroll in a course" in page, "to drop or complete" in page) == (True, False, False)
    assert client.get(f"{ENROLLMENTS}add/").status_code == 403
    assert event_of(client, enrollment) == "enrolled"
    assert client.post(f"/admin/students/student/{student.pk}/change/", {"given_name": "X"}).status_code == 403


def event_of(client, enrollment):
    client.post(ENROLLMENTS, {"action": "drop", "_selected_action": [enrollment.pk]}, follow=True)
    return StudentCourse.objects.get(pk=enrollment.pk).status


def test_students_with_enrollments_cannot_be_deleted(registrar_client, actor):
    enrollment = make_enrollment(make_student(), make_course(), actor)

    registrar_client.post(f"/admin/students/student/{enrollment.student_id}/delete/", {"post": "yes"})

    assert Student.objects.count() == 1


@pytest.mark.parametrize(("term", "expected"), [("byr", ["S-7"]), ("S-7", ["S-7"]), ("nobody", [])])
def test_students_are_found_by_autocomplete(registrar_client, term, expected):
    make_student(student_number="S-7", family_name="Byron")
    make_student(student_number="S-8", family_name="Adams")

    answer = registrar_client.get(
        "/admin/autocomplete/",
        {"app_label": "students", "model_name": "studentcourse", "field_name": "student", "term": term},
    )

    assert [result["text"].split()[0] for result in answer.json()["results"]] == expected


def test_an_edit_is_stored_in_the_history_with_its_user(registrar_client, registrar):
    student = make_student(given_name="Ada")
    form = {"student_number": student.student_number, "given_name": "Augusta", "family_name": "Byron", "email": ""}

    registrar_client.post(f"/admin/students/student/{student.pk}/change/", {**form, "is_active": "on"})

    newest = student.history.first()
    assert (newest.given_name, newest.history_user) == ("Augusta", registrar)
    assert registrar_client.get(f"/admin/students/student/{student.pk}/history/").status_code == 200


def test_a_student_deactivated_while_the_form_is_saved_is_refused(registrar_client, monkeypatch):
    student, course = make_student(), make_course()

    def ask_then_change(acts, actor, **how):
        outcomes = dry_run(acts, actor, **how)
        Student.objects.update(is_active=False)
        return outcomes

    monkeypatch.setattr("students.admin.enrollments.dry_run", ask_then_change)

    answer = registrar_client.post(f"{ENROLLMENTS}add/", {"student": student.pk, "course": course.pk}, follow=True)

    assert [str(message) for message in answer.context["messages"]] == ["This student is not active."]
    assert StudentCourse.objects.count() == 0
