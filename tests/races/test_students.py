"""A student is erased, deactivated or deleted while a command on an enrollment is running."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from school.access.access_log import Door
from school.refusals import Refused
from students.enrollment import drop, enroll, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.support.factories import make_course, make_student
from tests.support.races import PATIENCE, BackgroundCall, a_lock_is_waited_for, uncommitted

ORIGIN = ActorContext(Channel.SYSTEM)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only there do transactions overlap"),
]


def erase_student(student: Student) -> Any:
    return erase(person_of(Student.objects.get(pk=student.pk)), reason="asked for it", door=Door.COMMAND)


@transaction.atomic
def by_a_save_under_lock(student: Student) -> None:
    locked = Student.objects.select_for_update().get(pk=student.pk)
    locked.is_active = False
    locked.save()


def by_the_api(student: Student) -> None:
    answer = program().patch(f"/api/v1/students/{student.pk}", {"is_active": False})
    assert answer.status_code == 200


def by_the_form_of_the_admin(student: Student) -> None:
    fields = {name: getattr(student, name) for name in ("student_number", "given_name", "family_name", "email")}
    answer = desk().post(f"/admin/students/student/{student.pk}/change/", fields)
    assert answer.status_code == 302


def by_the_action_of_the_admin(student: Student) -> None:
    browser, path = desk(), "/admin/students/student/"
    form = {"action": "deactivate", "_selected_action": [student.pk], "index": 0}
    page = browser.post(path, form)
    confirmed = {**form, "step": "confirm", "shown": page.context["fingerprint"]}
    assert browser.post(path, confirmed).status_code == 302


def by_a_file(student: Student, folder: Any) -> None:
    file = folder / "students.csv"
    file.write_text(
        "student_number,given_name,family_name,is_active\n"
        f"{student.student_number},{student.given_name},{student.family_name},false\n"
    )
    call_command("import_students", file, stdout=io.StringIO(), stderr=io.StringIO())


def program() -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {TOKENS[-1]}")
    return client


def desk() -> Client:
    browser = Client()
    browser.force_login(User.objects.get(username="boss"))
    return browser


TOKENS: list[str] = []


@pytest.fixture(autouse=True)
def accounts(make_client):
    TOKENS.append(make_client("students:write", "students:read")._credentials["HTTP_AUTHORIZATION"].split()[1])
    User.objects.create_superuser("boss")


INACTIVE = [erase_student, by_a_save_under_lock, by_the_api, by_the_form_of_the_admin, by_the_action_of_the_admin]


@pytest.mark.parametrize("make_inactive", INACTIVE, ids=lambda each: each.__name__)
def test_a_command_waits_for_a_student_being_deactivated_and_is_refused(make_inactive):
    student, course = make_student(), make_course()

    with uncommitted(lambda: make_inactive(student)):
        asking = BackgroundCall(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN))
        waited = a_lock_is_waited_for()
    asking.join()

    assert waited
    assert isinstance(asking.error, Refused)
    assert [refusal.code for refusal in asking.error.refusals] == ["student_inactive"]
    assert StudentCourse.objects.count() == 0


def by_a_client(student_id: int, course_id: int) -> list[str]:
    try:
        enroll(student_id=student_id, course_id=course_id, actor=ActorContext(Channel.API))
    except Refused as refused:
        return [refusal.code for refusal in refused.refusals]
    return []


def in_a_file(student_id: int, course_id: int) -> list[str]:
    act = EnrollmentCommand(Action.ENROLL, student_id, course_id)
    [outcome] = execute([act], ActorContext(Channel.IMPORT), DecisionContext(partial_rows=True))
    return [refusal.code for refusal in outcome.refusals]


@pytest.mark.parametrize("way", [by_a_client, in_a_file], ids=lambda each: each.__name__)
def test_every_way_of_enrolling_waits_for_an_erasure(way):
    student, course = make_student(), make_course()

    with uncommitted(lambda: erase_student(student)):
        asking = BackgroundCall(lambda: way(student.pk, course.pk))
        waited = a_lock_is_waited_for()
    asking.join()

    assert (waited, asking.error, asking.result) == (True, None, ["student_inactive"])
    assert StudentCourse.objects.count() == 0


def test_a_waitlisted_student_who_becomes_inactive_is_passed_over():
    first, second, third = make_student(), make_student(), make_student()
    course = make_course(capacity=1, waitlist_capacity=2)
    for student in (first, second, third):
        enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN, on_full=OnFull.WAITLIST)

    with uncommitted(lambda: by_a_save_under_lock(second)):
        dropping = BackgroundCall(lambda: drop(student_id=first.pk, course_id=course.pk, actor=ORIGIN))
        waited = a_lock_is_waited_for()
    dropping.join()

    assert (waited, dropping.error) == (True, None)
    assert list(StudentCourse.objects.enrolled().values_list("student", flat=True)) == [third.pk]
    assert list(EnrollmentEvent.objects.filter(action="pass_over").values_list("refusals", flat=True)) == [
        ["student_inactive"]
    ]


@pytest.mark.parametrize("make_inactive", INACTIVE[1:], ids=lambda each: each.__name__)
def test_deactivating_a_student_waits_for_the_commit_of_an_enrollment(make_inactive):
    student, course = make_student(), make_course()

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        changing = BackgroundCall(lambda: make_inactive(student))
        waited = a_lock_is_waited_for()
    changing.join()

    assert (waited, changing.error) == (True, None)
    assert not Student.objects.get(pk=student.pk).is_active


def test_a_file_that_deactivates_a_student_waits_for_the_enrollment(tmp_path):
    student, course = make_student(), make_course()

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        changing = BackgroundCall(lambda: by_a_file(student, tmp_path))
        waited = a_lock_is_waited_for()
    changing.join()

    assert (waited, changing.error) == (True, None)
    assert not Student.objects.get(pk=student.pk).is_active


def test_erasing_a_student_during_an_enrollment_is_refused():
    student, course = make_student(), make_course()

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        changing = BackgroundCall(lambda: erase_student(student))
        waited = a_lock_is_waited_for()
    changing.join()

    assert waited
    assert isinstance(changing.error, Refused)
    assert [refusal.code for refusal in changing.error.refusals] == ["has_open_enrollments"]
    assert Student.objects.get(pk=student.pk).erased_at is None


def test_renaming_a_student_and_another_enrollment_do_not_wait():
    student, course, other = make_student(), make_course(), make_course()

    with uncommitted(lambda: enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN)):
        renaming = BackgroundCall(lambda: program().patch(f"/api/v1/students/{student.pk}", {"given_name": "New"}))
        renaming.join(timeout=PATIENCE)
        enrolling = BackgroundCall(lambda: enroll(student_id=student.pk, course_id=other.pk, actor=ORIGIN))
        enrolling.join(timeout=PATIENCE)
        waiting = renaming.is_alive(), enrolling.is_alive()
    renaming.join()
    enrolling.join()

    assert (waiting, renaming.result.status_code, enrolling.result.changed) == ((False, False), 200, True)


# A preview


@pytest.mark.parametrize("taken", ["course", "student"])
def test_a_preview_waits_for_no_lock_and_takes_none(taken, django_assert_max_num_queries):
    student, course = make_student(), make_course(capacity=1)
    row = course if taken == "course" else student
    body = {"student": student.pk, "ask": ""}

    def preview() -> Any:
        with django_assert_max_num_queries(100) as captured:
            page = desk().post(f"/admin/courses/course/{course.pk}/enroll/", body)
        locking = [each["sql"] for each in captured.captured_queries if " FOR " in each["sql"].upper()]
        return page.context["enroll_result"]["kind"], locking

    with uncommitted(lambda: type(row).objects.select_for_update().get(pk=row.pk)):
        asking = BackgroundCall(preview)
        asking.join(timeout=PATIENCE)
        waits = asking.is_alive()
    asking.join()

    assert (waits, asking.error, asking.result) == (False, None, ("enrolled", []))


@pytest.mark.parametrize("action", ["drop", "complete", "undo"])
def test_a_preview_of_a_bulk_enrollment_waits_for_no_lock(action):
    student, course = make_student(), make_course()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN).enrollment
    assert enrollment is not None
    body = {"action": action, "chosen": [enrollment.pk], "reason": "", "grade": ""}

    with uncommitted(lambda: type(course).objects.select_for_update().get(pk=course.pk)):
        asking = BackgroundCall(lambda: desk().post("/admin/students/studentcourse/act/", body))
        asking.join(timeout=PATIENCE)
        waits = asking.is_alive()
    asking.join()

    assert (waits, asking.error) == (False, None)
    assert len(asking.result.context["preview"].changed) == 1


@pytest.mark.parametrize("kind", ["student", "course"])
def test_a_preview_of_a_deactivation_waits_for_no_lock(kind):
    student, course = make_student(), make_course(capacity=0, waitlist_capacity=1)
    enroll(student_id=student.pk, course_id=course.pk, actor=ORIGIN, on_full=OnFull.WAITLIST)
    row: Any = student if kind == "student" else course
    path = f"/admin/{row._meta.app_label}/{kind}/"
    form = {"action": "deactivate", "_selected_action": [row.pk], "index": 0}

    with uncommitted(lambda: type(course).objects.select_for_update().get(pk=course.pk)):
        asking = BackgroundCall(lambda: desk().post(path, form))
        asking.join(timeout=PATIENCE)
        waits = asking.is_alive()
    asking.join()

    assert (waits, asking.error) == (False, None)
    assert asking.result.context["changed"] == [row]
