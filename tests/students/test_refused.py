"""The refusal log: refusals are collected in memory, written in batches and shown to staff."""

from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from school.access.access_log import Door
from school.refusals import Refused
from students.enrollment import dry_run, enroll, execute, execute_atomic, refusal_log
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, Channel, RefusedAct
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

API = ActorContext(Channel.API)
REFUSALS = "/admin/students/refusedact/"


@pytest.fixture(autouse=True)
def long_flush_interval(settings):
    """Refusals are kept in memory for an hour, so that only the test writes them."""
    settings.REFUSALS_SECONDS = 3600
    yield
    refusal_log.clear()


def logged_refusals():
    refusal_log.flush()
    return list(RefusedAct.objects.order_by("pk").values_list("student_id", "course_id", "action", "channel", "codes"))


def enroll_refused(student, course, actor=API):
    with pytest.raises(Refused):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)


def test_a_refusal_is_logged_with_all_its_reasons():
    student, course = make_student(is_active=False), make_course(capacity=0)

    enroll_refused(student, course)

    assert RefusedAct.objects.count() == 0
    assert logged_refusals() == [(student.pk, course.pk, "enroll", "api", "student_inactive course_full")]


def test_a_refusal_from_the_full_course_cache_is_logged_too():
    course = make_course(capacity=0)
    first, second = make_student(), make_student()

    enroll_refused(first, course)
    enroll_refused(second, course)  # the course is cached as full

    assert [student for student, *_ in logged_refusals()] == [first.pk, second.pk]


def test_the_latest_refusal_of_a_day_replaces_earlier_ones(time_machine):
    student, course = make_student(), make_course(capacity=0, is_active=False)
    time_machine.move_to("2026-09-10T10:00Z")
    enroll_refused(student, course)
    refusal_log.flush()
    course.is_active = True
    course.save()
    enroll_refused(student, course)
    refusal_log.flush()
    time_machine.move_to("2026-09-11T10:00Z")
    enroll_refused(student, course)
    refusal_log.flush()

    assert list(RefusedAct.objects.order_by("day").values_list("day", "codes")) == [
        (date(2026, 9, 10), "course_full"),
        (date(2026, 9, 11), "course_full"),
    ]


@pytest.mark.parametrize("do", [execute, execute_atomic])
def test_refusals_of_batches_are_logged(do):
    student, course = make_student(), make_course(capacity=0)

    do(
        [
            EnrollmentCommand(Action.ENROLL, student.pk, course.pk),
            EnrollmentCommand(Action.DROP, make_student().pk, course.pk),
        ],
        API,
    )

    assert [(action, codes) for _s, _c, action, _ch, codes in logged_refusals()] == [
        ("enroll", "course_full"),
        ("drop", "not_enrolled"),
    ]


@pytest.mark.parametrize("channel", [Channel.IMPORT, Channel.COMMAND, Channel.SYSTEM])
def test_refusals_of_channels_with_their_own_reports_are_not_logged(channel):
    execute([EnrollmentCommand(Action.ENROLL, make_student().pk, make_course(capacity=0).pk)], ActorContext(channel))

    assert logged_refusals() == []


def test_refusals_of_a_dry_run_are_not_logged():
    dry_run([EnrollmentCommand(Action.ENROLL, make_student().pk, make_course(capacity=0).pk)], API)

    assert logged_refusals() == []


def test_a_refusal_of_the_submitted_admin_form_is_logged(registrar_client):
    course, students = make_course(capacity=0), [make_student() for _ in range(2)]

    registrar_client.post("/admin/students/studentcourse/add/", {"student": students[0].pk, "course": course.pk})
    registrar_client.post(f"/admin/courses/course/{course.pk}/enroll/", {"student": students[1].pk})

    assert logged_refusals() == [(student.pk, course.pk, "enroll", "admin", "course_full") for student in students]


def test_refusals_of_the_enroll_panel_preview_are_not_logged(registrar_client):
    course, student = make_course(capacity=0), make_student()

    page = registrar_client.post(f"/admin/courses/course/{course.pk}/enroll/", {"student": student.pk, "ask": ""})

    assert page.context["enroll_result"]["kind"] == "refused"
    assert logged_refusals() == []


def test_a_refusal_for_an_unknown_student_is_not_logged():
    execute([EnrollmentCommand(Action.ENROLL, 10**9, make_course(capacity=0).pk)], API)

    assert logged_refusals() == []


def test_accepted_commands_are_not_logged():
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=API)

    assert logged_refusals() == []


def test_nothing_is_logged_if_the_retention_setting_is_0(settings):
    settings.REFUSALS_SECONDS = 0

    enroll_refused(make_student(), make_course(capacity=0))

    assert logged_refusals() == []


def test_refusals_stay_pending_while_the_database_is_unavailable(monkeypatch):
    def away(*_args, **_options):
        raise DatabaseError

    student, course = make_student(), make_course(capacity=0)
    enroll_refused(student, course)
    with monkeypatch.context() as patch:
        patch.setattr(RefusedAct.objects.__class__, "bulk_create", away)
        refusal_log.flush()
    assert RefusedAct.objects.count() == 0

    assert [line[0] for line in logged_refusals()] == [student.pk]


def test_the_number_of_pending_refusals_is_limited(monkeypatch):
    monkeypatch.setattr(refusal_log, "MAX_PENDING", 1)
    course = make_course(capacity=0)

    for _ in range(3):
        enroll_refused(make_student(), course)

    assert len(logged_refusals()) == 1


def test_the_database_keeps_one_refusal_per_day_student_course_and_action():
    row = {
        "day": "2026-09-10",
        "student": make_student(),
        "course": make_course(),
        "action": "enroll",
        "channel": "api",
        "codes": "x",
    }
    RefusedAct.objects.create(**row)

    with pytest.raises(IntegrityError):
        RefusedAct.objects.create(**row)


def test_deleting_a_student_deletes_the_refusals():
    student, course = make_student(), make_course(capacity=0)
    enroll_refused(student, course)
    refusal_log.flush()

    student.delete()

    assert RefusedAct.objects.count() == 0


def test_staff_can_filter_refusals_by_reason_and_cannot_change_them(registrar_client):
    student = make_student()
    for codes in ("course_full", "waitlist_full", "student_inactive course_full"):
        RefusedAct.objects.create(
            day="2026-09-10", student=student, course=make_course(), action="enroll", channel="api", codes=codes
        )

    page = registrar_client.get(REFUSALS, {"reason": "course_full"})

    desk, rows = page.context["cl"].model_admin, page.context["cl"].result_list
    assert sorted(desk.reason_titles(row) for row in rows) == [
        "Course is full",
        "Student is not active, Course is full",
    ]
    assert registrar_client.get(f"{REFUSALS}add/").status_code == 403
    assert registrar_client.post(f"{REFUSALS}{rows[0].pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("gone", ["student", "course"])
def test_a_refusal_of_a_deleted_student_or_course_is_not_written(gone):
    student, course, others = make_student(), make_course(capacity=0), make_student()
    enroll_refused(student, course)
    enroll_refused(others, other := make_course(capacity=0))
    (student if gone == "student" else course).delete()

    assert [(line[0], line[1]) for line in logged_refusals()] == [(others.pk, other.pk)]
    assert refusal_log._pending == {}


def test_no_refusal_is_written_for_an_erased_student():
    student, course = make_student(), make_course(capacity=0)
    enroll_refused(student, course)
    erase(person_of(student), reason="asked for it", door=Door.COMMAND)

    assert logged_refusals() == []


def test_a_row_that_the_database_rejects_is_dropped_and_the_others_are_written(monkeypatch):
    course, students = make_course(capacity=0), [make_student() for _ in range(3)]
    for student in students:
        enroll_refused(student, course)
    # The column of an action is never empty.
    pair = (students[1].pk, course.pk)
    nothing: Any = None
    refusal_log._pending[pair] = refusal_log._pending[pair]._replace(action=nothing)

    assert [line[0] for line in logged_refusals()] == [students[0].pk, students[2].pk]
    assert refusal_log._pending == {}


def test_a_refusal_code_that_occurs_many_times_is_stored_once():
    waive = frozenset(f"nonsense{number}" for number in range(40))

    execute([EnrollmentCommand(Action.ENROLL, make_student().pk, make_course().pk, waived_codes=waive)], API)

    assert [codes for *_, codes in logged_refusals()] == ["not_waivable waiver_needs_reason waiver_not_allowed"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite checks at the end of the transaction")
def test_the_database_refuses_a_refusal_without_a_student():
    row = {"day": "2026-09-10", "course": make_course(), "action": "enroll", "channel": "api", "codes": "x"}

    with pytest.raises(IntegrityError), transaction.atomic():
        RefusedAct.objects.create(student_id=10**9, **row)
        connection.check_constraints()


def test_the_refusal_page_loads_refusal_student_and_course_in_one_query(
    registrar_client, django_assert_max_num_queries
):
    row = {"day": "2026-09-10", "action": "enroll", "channel": "api", "codes": "course_full"}
    refusal = RefusedAct.objects.create(student=make_student(), course=make_course(), **row)

    with django_assert_max_num_queries(50) as captured:
        page = registrar_client.get(f"{REFUSALS}{refusal.pk}/change/")

    reading = [each["sql"] for each in captured.captured_queries if "students_student" in each["sql"]]
    assert (page.status_code, len(reading), "students_refusedact" in reading[0]) == (200, 1, True)
