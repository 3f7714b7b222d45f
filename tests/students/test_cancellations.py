"""A course is cancelled as a whole, and this is undone as a whole."""

import pytest
from django.db import IntegrityError
from django.utils import timezone

from courses.api_client_creation import create_api_client
from courses.models import Course
from school.access.access_log import Door
from school.models import ApiClient
from students.enrollment import cancel_course, drop, enroll, enroll_many, undo_cancellation
from students.enrollment.commands import OnFull
from students.enrollment.loading import MANY_KEYS
from students.models import Action, Channel, CourseCancellation, EnrollmentEvent, Status, Student, StudentCourse
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

REASON = {"reason": "Too few students"}


def full_course(actor, enrolled=2, waitlisted=2, **fields):
    """A course whose seats are taken and for which students wait."""
    course = make_course(capacity=enrolled, waitlist_capacity=None, **fields)
    students = [make_student() for _ in range(enrolled + waitlisted)]
    enroll_many([(student.pk, course.pk) for student in students], actor=actor, on_full=OnFull.WAITLIST)
    return course, students


def rows(course):
    names = ("student", "status", "enrolled_on", "ended_on", "waitlisted_at", "grade")
    return list(StudentCourse.objects.filter(course=course).order_by("pk").values_list(*names))


def post(client, course, path="cancel", body=REASON):
    return client.post(f"/api/v1/courses/{course.pk}/{path}", body, format="json")


def codes(answer):
    return answer.status_code, [(each["code"], each["field"]) for each in answer.json()["errors"]]


def test_a_cancelled_course_is_inactive_and_its_open_enrollments_are_dropped(api, actor):
    course, _students = full_course(actor)
    left = make_student()
    enroll(student_id=left.pk, course_id=make_course().pk, actor=actor)

    answer = post(api, course)

    course.refresh_from_db()
    events = EnrollmentEvent.objects.filter(enrollment__course=course, action=Action.DROP)
    assert answer.status_code == 200
    assert answer.json() == {
        "enrolled": 2,
        "waitlisted": 2,
        "kept": 0,
        "promoted": 0,
        "losing_corequisites": 0,
    }
    assert not course.is_active
    assert {status for _student, status, *_rest in rows(course)} == {Status.DROPPED}
    assert [(each.reason, each.channel) for each in events] == [("Too few students", Channel.API)] * 4
    assert not EnrollmentEvent.objects.filter(action__in=[Action.PROMOTE, Action.PASS_OVER]).exists()
    assert StudentCourse.objects.get(student=left).status == Status.ENROLLED
    assert [each.history_change_reason for each in course.history.all()][:1] == ["Too few students"]


def test_a_dry_run_says_the_same_and_changes_nothing(api, actor):
    course, _students = full_course(actor)
    before = rows(course)

    preview = post(api, course, body={**REASON, "dry_run": True}).json()

    assert (rows(course), CourseCancellation.objects.count()) == (before, 0)
    assert Course.objects.get(pk=course.pk).is_active
    assert post(api, course).json() == preview
    undo_preview = post(api, course, "cancel/undo", {"dry_run": True}).json()
    assert not Course.objects.get(pk=course.pk).is_active
    assert post(api, course, "cancel/undo", {}).json() == undo_preview


def test_the_undo_restores_every_enrollment_and_the_order_of_the_waitlist(api, actor):
    course, _students = full_course(actor, waitlisted=3)
    before = rows(course)
    post(api, course)

    answer = post(api, course, "cancel/undo", {})

    assert (answer.json()["enrolled"], answer.json()["waitlisted"], answer.json()["promoted"]) == (2, 3, 0)
    assert rows(course) == before
    assert Course.objects.get(pk=course.pk).is_active
    assert codes(post(api, course, "cancel/undo", {})) == (409, [("not_cancelled", None)])


def test_a_repetition_changes_nothing(api, actor):
    course, _students = full_course(actor)
    post(api, course)
    events = EnrollmentEvent.objects.count()

    again = post(api, course)

    assert (again.status_code, again.json()["enrolled"], again.json()["waitlisted"]) == (200, 0, 0)
    assert (EnrollmentEvent.objects.count(), CourseCancellation.objects.count()) == (events, 1)
    assert post(api, course, "cancel/undo", {}).json()["enrolled"] == 2


def test_a_course_without_enrollments_is_cancelled_and_restored(api):
    course = make_course()

    answers = [post(api, course).status_code, post(api, course, "cancel/undo", {}).status_code]

    assert answers == [200, 200]
    assert Course.objects.get(pk=course.pk).is_active


def test_an_inactive_course_stays_inactive_after_the_undo(api, actor):
    course, _students = full_course(actor)
    Course.objects.filter(pk=course.pk).update(is_active=False)

    post(api, course)
    post(api, course, "cancel/undo", {})

    assert not Course.objects.get(pk=course.pk).is_active
    assert StudentCourse.objects.enrolled().filter(course=course).count() == 2


def test_a_student_whose_credits_are_free_again_gets_a_seat_of_another_course(api, actor):
    term = make_term(max_credits=3)
    wanted, taken = (make_course(term=term, credits=3, capacity=1, waitlist_capacity=1) for _ in range(2))
    first, second = make_student(), make_student()
    enroll(student_id=first.pk, course_id=wanted.pk, actor=actor)
    enroll(student_id=second.pk, course_id=wanted.pk, actor=actor, on_full=OnFull.WAITLIST)
    enroll(student_id=second.pk, course_id=taken.pk, actor=actor)
    drop(student_id=first.pk, course_id=wanted.pk, actor=actor)  # the second one has no credits left

    preview = post(api, taken, body={**REASON, "dry_run": True}).json()
    answer = post(api, taken).json()

    assert answer == preview == {"enrolled": 1, "waitlisted": 0, "kept": 0, "promoted": 1, "losing_corequisites": 0}
    assert StudentCourse.objects.get(student=second, course=wanted).status == Status.ENROLLED


def test_enrolled_students_withdraw_after_the_drop_deadline(api, actor):
    term = make_term(starts_on="2020-01-01", drop_deadline="2020-02-01")
    course, _students = full_course(actor, term=term)

    post(api, course)

    assert [status for _student, status, *_rest in rows(course)] == ["withdrawn"] * 2 + ["dropped"] * 2


def test_the_undo_keeps_enrollments_that_have_changed_since_and_those_of_erased_students(api, actor):
    course, students = full_course(actor, enrolled=3, waitlisted=1)
    post(api, course)
    erase(person_of(students[0]), reason="asked", door=Door.COMMAND)
    Course.objects.filter(pk=course.pk).update(is_active=True)
    enroll(student_id=students[1].pk, course_id=course.pk, actor=actor)

    answer = post(api, course, "cancel/undo", {}).json()

    latest = {each.student_id: each.status for each in StudentCourse.objects.filter(course=course).order_by("pk")}
    assert answer == {**answer, "enrolled": 1, "waitlisted": 1, "kept": 2, "promoted": 1}
    assert [latest[student.pk] for student in students] == ["dropped", "enrolled", "enrolled", "enrolled"]


def test_an_undo_without_enough_seats_changes_nothing(api, actor):
    course, _students = full_course(actor)
    post(api, course)
    Course.objects.filter(pk=course.pk).update(capacity=1)
    before = rows(course)

    answer = post(api, course, "cancel/undo", {})

    assert codes(answer) == (409, [("course_full", None)])
    assert (rows(course), Course.objects.get(pk=course.pk).is_active) == (before, False)


def test_a_course_that_is_active_again_can_be_cancelled_again(api, actor):
    course, students = full_course(actor)
    post(api, course)
    Course.objects.filter(pk=course.pk).update(is_active=True)
    enroll(student_id=students[0].pk, course_id=course.pk, actor=actor)

    post(api, course)
    answer = post(api, course, "cancel/undo", {}).json()

    assert (answer["enrolled"], answer["waitlisted"], answer["kept"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "reason"),
        ({"reason": " "}, "blank", "reason"),
        ({"reason": None}, "null", "reason"),
        ({"reason": "x" * 1001}, "max_length", "reason"),
        ({"reason": "x", "dry_run": "yes"}, "invalid", "dry_run"),
        ({"reason": "x", "force": True}, "unknown_field", "force"),
    ],
)
def test_an_invalid_body_is_refused_with_its_field(api, body, code, field):
    assert codes(post(api, make_course(), body=body)) == (400, [(code, field)])


def test_both_scopes_are_required(make_client, actor):
    course, _students = full_course(actor)

    for scope, missing in (("courses:write", "enrollments:write"), ("enrollments:write", "courses:write")):
        answer = post(make_client(scope), course)
        assert (answer.status_code, answer.json()["missing_scope"]) == (403, missing)
    assert StudentCourse.objects.open().count() == 4


def test_a_limited_client_cancels_only_its_own_courses(actor):
    course, _students = full_course(actor, code="OWN")
    foreign, _students = full_course(actor, code="FOREIGN")
    scopes = ["courses:write", "enrollments:write"]
    keys = create_api_client("limited", " ".join(scopes), courses=["OWN"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), scopes)

    assert post(client, course).status_code == 200
    assert post(client, foreign).status_code == 404
    assert StudentCourse.objects.open().filter(course=foreign).count() == 4


def test_the_admin_shows_a_preview_and_cancels_and_restores(registrar_client, actor):
    course, students = full_course(actor)
    address = f"/admin/courses/course/{course.pk}/cancel"
    before = rows(course)

    page = registrar_client.get(f"{address}/")
    shown = page.context["result"].preview.fingerprint
    assert students[3].student_number in page.content.decode()
    assert registrar_client.post(f"{address}/", {"shown": shown}).context["form"].errors["reason"]
    assert rows(course) == before
    registrar_client.post(f"{address}/", {"shown": shown, **REASON})
    assert StudentCourse.objects.open().count() == 0

    undo = registrar_client.get(f"{address}-undo/")
    answer = registrar_client.post(f"{address}-undo/", {"shown": undo.context["result"].preview.fingerprint})
    assert answer.status_code == 302
    assert rows(course) == before


def test_the_admin_changes_nothing_if_the_preview_is_outdated(registrar_client, actor):
    course, students = full_course(actor)
    address = f"/admin/courses/course/{course.pk}/cancel/"
    shown = registrar_client.get(address).context["result"].preview.fingerprint
    drop(student_id=students[0].pk, course_id=course.pk, actor=actor)

    page = registrar_client.post(address, {"shown": shown, **REASON})

    assert page.context["is_stale"]
    assert Course.objects.get(pk=course.pk).is_active


def test_two_thousand_enrollments_are_cancelled_and_restored(actor):
    course = make_course(capacity=1_200, waitlist_capacity=None)
    students = Student.objects.bulk_create(
        [Student(student_number=f"S-{number}", family_name="Lovelace") for number in range(2_000)], 1_000
    )
    enroll_many([(student.pk, course.pk) for student in students], actor=actor, on_full=OnFull.WAITLIST)
    before = rows(course)

    cancelled = cancel_course(course.pk, actor=actor, reason="x")
    undo_cancellation(course.pk, actor=actor)

    assert (cancelled.enrolled, cancelled.waitlisted) == (1_200, 800)
    assert rows(course) == before


def test_the_database_refuses_two_cancellations_of_a_course():
    course = make_course()
    fields = {"course": course, "at": timezone.now(), "channel": Channel.COMMAND, "reason": "x"}
    CourseCancellation.objects.create(**fields, undone_at=timezone.now())
    CourseCancellation.objects.create(**fields)

    with pytest.raises(IntegrityError):
        CourseCancellation.objects.create(**fields)


def test_the_undo_of_a_large_course_restores_the_latest_enrollment_of_each_student(actor):
    course = make_course(capacity=None)
    students = [make_student() for _each in range(MANY_KEYS + 1)]
    enroll(student_id=students[0].pk, course_id=course.pk, actor=actor)
    drop(student_id=students[0].pk, course_id=course.pk, actor=actor)
    enroll_many([(student.pk, course.pk) for student in students], actor=actor)
    before = list(StudentCourse.objects.order_by("pk").values("pk", "status", "ended_on"))

    cancelled = cancel_course(course.pk, actor=actor, reason="Too few teachers")
    undo_cancellation(course.pk, actor=actor)

    assert cancelled.enrolled == MANY_KEYS + 1
    assert list(StudentCourse.objects.order_by("pk").values("pk", "status", "ended_on")) == before
