"""One rule set, every door: what one refuses, all refuse, in the same words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from students.enrollment import enroll
from students.models import Action, EnrollmentEvent, StudentCourse
from students.rules import RULES
from tests.doors import DOORS
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "student_is_active": ({"is_active": False}, {}, "This student is not active."),
    "course_is_active": ({}, {"is_active": False}, "MATH-101 is not active."),
    "enrollment_has_opened": (
        {},
        {"enrollment_opens_at": datetime(2999, 1, 1, tzinfo=UTC)},
        "Enrollment in MATH-101 opens at 2999-01-01 00:00+00:00.",
    ),
    "enrollment_has_not_closed": (
        {},
        {"enrollment_closes_at": datetime(2020, 1, 1, tzinfo=UTC)},
        "Enrollment in MATH-101 closed at 2020-01-01 00:00+00:00.",
    ),
    "prerequisites_are_completed": (
        {},
        {"prerequisites": ["MATH-99", "MATH-100"]},
        "MATH-101 asks for MATH-99, MATH-100 to be completed first.",
    ),
    "seat_is_free": ({}, {"capacity": 0}, "MATH-101 has no free seat."),
}


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("rule", RULES[Action.ENROLL], ids=lambda rule: rule.name)
def test_door_obeys_rule(door, rule):
    student_fields, course_fields, message = CASES[rule.name]  # a new rule needs its case
    student = make_student(**student_fields)
    course = make_course(code="MATH-101", **course_fields)

    answer = door(student, course)

    assert message in answer
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_door_names_every_reason_at_once(door):
    student = make_student(is_active=False)
    course = make_course(code="MATH-101", is_active=False, capacity=0)

    answer = door(student, course)

    messages = ["This student is not active.", "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert [message for message in messages if message in answer] == messages


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_door_enrolls_whom_the_rules_let_in(door):
    student, course = make_student(), make_course()

    door(student, course)

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, "enrolled")]
    assert EnrollmentEvent.objects.count() == 1


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_door_leaves_alone_who_is_in_already(door, origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    answer = door(student, course)

    in_admin = f"This student is in {course.code} already."
    assert {"api": '"status": "enrolled"', "admin": in_admin, "command": "unchanged"}[door.__name__] in answer
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (1, 1)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_door_writes_its_name_into_the_journal(door):
    door(make_student(), make_course())

    channel = {"api": "api", "admin": "admin", "command": "import"}[door.__name__]
    assert EnrollmentEvent.objects.get().channel == channel
