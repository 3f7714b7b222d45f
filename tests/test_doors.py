"""One rule set, every door: what one refuses, all refuse, in the same words."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from students.enrollment import enroll, perform
from students.models import Action, EnrollmentEvent, StudentCourse
from students.rules import RULES, Act
from tests.doors import DOORS
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Case:
    """A student and a course whom one rule keeps apart, what has happened between the two before, and its sentence."""

    message: str
    student: dict[str, Any] = field(default_factory=dict)
    course: dict[str, Any] = field(default_factory=dict)
    before: tuple[Action, ...] = ()


CASES: dict[tuple[str, str], Case] = {
    (Action.ENROLL, "student_is_active"): Case("This student is not active.", student={"is_active": False}),
    (Action.ENROLL, "course_is_active"): Case("MATH-101 is not active.", course={"is_active": False}),
    (Action.ENROLL, "enrollment_has_opened"): Case(
        "Enrollment in MATH-101 opens at 2999-01-01 00:00+00:00.",
        course={"enrollment_opens_at": datetime(2999, 1, 1, tzinfo=UTC)},
    ),
    (Action.ENROLL, "enrollment_has_not_closed"): Case(
        "Enrollment in MATH-101 closed at 2020-01-01 00:00+00:00.",
        course={"enrollment_closes_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ),
    (Action.ENROLL, "prerequisites_are_completed"): Case(
        "MATH-101 asks for MATH-99, MATH-100 to be completed first.",
        course={"prerequisites": ["MATH-99", "MATH-100"]},
    ),
    (Action.ENROLL, "seat_is_free"): Case("MATH-101 has no free seat.", course={"capacity": 0}),
    (Action.DROP, "was_ever_enrolled"): Case("This student was never enrolled in MATH-101."),
    (Action.DROP, "is_possible_from_here"): Case(
        "An enrollment that is completed cannot become dropped.", before=(Action.ENROLL, Action.COMPLETE)
    ),
    (Action.COMPLETE, "was_ever_enrolled"): Case("This student was never enrolled in MATH-101."),
    (Action.COMPLETE, "is_possible_from_here"): Case(
        "An enrollment that is dropped cannot become completed.", before=(Action.ENROLL, Action.DROP)
    ),
}

# Where a door has no way to ask for what the rule forbids, and what it says in place of the rule: the actions of the
# admin's list are for the enrollments ticked in it, and who was never enrolled has none to tick.
CANNOT_BE_ASKED: dict[tuple[str, str], str] = {
    ("admin", "was_ever_enrolled"): "Items must be selected in order to perform actions on them.",
}

CHANNELS = {"api": "api", "admin": "admin", "command": "import"}

each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def rows_and_journal():
    return list(StudentCourse.objects.order_by("pk").values()), list(EnrollmentEvent.objects.order_by("pk").values())


@each_door
@pytest.mark.parametrize(
    ("action", "rule"),
    [pytest.param(action, rule, id=f"{action}-{rule.name}") for action, rules in RULES.items() for rule in rules],
)
def test_door_obeys_rule(door, action, rule, origin):
    case = CASES[action, rule.name]  # a new rule needs its case
    student = make_student(**case.student)
    course = make_course(code="MATH-101", **case.course)
    for earlier in case.before:
        perform([Act(earlier, student.pk, course.pk)], origin)
    before = rows_and_journal()

    answer = door(action, student, course)

    assert CANNOT_BE_ASKED.get((door.__name__, rule.name), case.message) in answer
    assert [len(lines) for lines in before] == [bool(case.before), len(case.before)]
    assert rows_and_journal() == before


def test_every_case_is_that_of_a_rule():
    assert set(CASES) == {(action, rule.name) for action, rules in RULES.items() for rule in rules}


@each_door
def test_door_names_every_reason_at_once(door):
    student = make_student(is_active=False)
    course = make_course(code="MATH-101", is_active=False, capacity=0)

    answer = door(Action.ENROLL, student, course)

    messages = ["This student is not active.", "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert [message for message in messages if message in answer] == messages


@each_door
def test_door_enrolls_whom_the_rules_let_in(door):
    student, course = make_student(), make_course()

    door(Action.ENROLL, student, course)

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, "enrolled")]
    assert EnrollmentEvent.objects.count() == 1


@each_door
@pytest.mark.parametrize(("action", "status"), [(Action.DROP, "dropped"), (Action.COMPLETE, "completed")])
def test_door_drops_and_completes_whom_the_rules_let(door, action, status, origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    door(action, student, course)

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, status)]
    assert [event.to_status for event in EnrollmentEvent.objects.all()] == ["enrolled", status]


@each_door
def test_door_leaves_alone_who_is_in_already(door, origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)
    before = rows_and_journal()

    answer = door(Action.ENROLL, student, course)

    in_admin = f"This student is in {course.code} already."
    assert {"api": '"status":"enrolled"', "admin": in_admin, "command": "unchanged"}[door.__name__] in answer
    assert rows_and_journal() == before


@each_door
@pytest.mark.parametrize("action", RULES)
def test_door_writes_its_name_into_the_journal(door, action, origin):
    student, course = make_student(), make_course()
    if action != Action.ENROLL:
        enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    door(action, student, course)

    newest = EnrollmentEvent.objects.latest("pk")
    assert (newest.action, newest.channel) == (action, CHANNELS[door.__name__])
