"""One rule set, every door: what one refuses, all refuse, in the same words."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from courses.models import Course
from students.enrollment import enroll, perform
from students.enrollment.commands import Act, OnFull
from students.enrollment.rules import RULES, is_untouched
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.doors import DOORS, NotOffered, Wish
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Case:
    """
    A student and a course whom one rule keeps apart, and its sentence.

    ``before`` has happened between the two, ``others`` to another student in the course after that. ``term`` has the
    fields of the course's term, if it has one.
    """

    message: str
    student: dict[str, Any] = field(default_factory=dict)
    course: dict[str, Any] = field(default_factory=dict)
    term: dict[str, Any] = field(default_factory=dict)
    before: tuple[Action, ...] = ()
    others: tuple[Action, ...] = ()
    on_full: str = "reject"

    def make_course(self) -> Course:
        term = {"term": make_term(**self.term)} if self.term else {}
        return make_course(code="MATH-101", **self.course, **term)


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
    (Action.ENROLL, "term_has_not_ended"): Case(
        "The term of MATH-101 ended on 2020-06-30.",
        term={"starts_on": "2020-01-01", "ends_on": "2020-06-30"},
    ),
    (Action.ENROLL, "prerequisites_are_completed"): Case(
        "MATH-101 requires MATH-99, MATH-100 to be completed first.",
        course={"prerequisites": ["MATH-99", "MATH-100"]},
    ),
    (Action.ENROLL, "seat_is_free"): Case("MATH-101 has no free seat.", course={"capacity": 0}),
    (Action.ENROLL, "line_has_room"): Case(
        "MATH-101 has no free seat and no waitlist.", course={"capacity": 0}, on_full="waitlist"
    ),
    (Action.DROP, "was_ever_enrolled"): Case("This student was never enrolled in MATH-101."),
    (Action.DROP, "is_possible_from_here"): Case(
        "The enrollment is completed and cannot become dropped, because it has ended.",
        before=(Action.ENROLL, Action.COMPLETE),
    ),
    (Action.COMPLETE, "was_ever_enrolled"): Case("This student was never enrolled in MATH-101."),
    (Action.COMPLETE, "is_possible_from_here"): Case(
        "The enrollment is dropped and cannot become completed, because it has ended.",
        before=(Action.ENROLL, Action.DROP),
    ),
    (Action.UNDO, "was_ever_enrolled"): Case("This student was never enrolled in MATH-101."),
    (Action.UNDO, "can_be_undone"): Case("There is no change left to undo.", before=(Action.ENROLL, Action.UNDO)),
    (Action.UNDO, "seat_was_kept"): Case(
        "MATH-101 has no free seat.",
        course={"capacity": 1},
        before=(Action.ENROLL, Action.DROP),
        others=(Action.ENROLL,),
    ),
}
# Promotion comes by itself, and only the undo of an import asks whether something has changed since the import.
ASKED_FOR = {
    action: tuple(rule for rule in rules if rule is not is_untouched)
    for action, rules in RULES.items()
    if action != Action.PROMOTE
}

# Where a door has no way to ask for what the rule forbids, and what it says in place of the rule: the actions of the
# admin's list are for the enrollments ticked in it, and who was never enrolled has none to tick.
CANNOT_BE_ASKED: dict[tuple[str, str], str] = {
    ("admin", "was_ever_enrolled"): "Items must be selected in order to perform actions on them.",
}

CHANNELS = {"api": "api", "batch": "api", "admin": "admin", "command": "import"}

each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def through(door, wish):
    """Return what a door answers; skip where it does not offer the action."""
    try:
        return door(wish)
    except NotOffered:
        pytest.skip(f"{door.__name__} does not {wish.action}")


def rows_and_journal():
    return list(StudentCourse.objects.order_by("pk").values()), list(EnrollmentEvent.objects.order_by("pk").values())


@each_door
@pytest.mark.parametrize(
    ("action", "rule"),
    [pytest.param(action, rule, id=f"{action}-{rule.name}") for action, rules in ASKED_FOR.items() for rule in rules],
)
def test_door_obeys_rule(door, action, rule, origin):
    case = CASES[action, rule.name]  # a new rule needs its case
    student, other = make_student(**case.student), make_student()
    course = case.make_course()
    earlier = [Act(each, student.pk, course.pk) for each in case.before]
    earlier += [Act(each, other.pk, course.pk) for each in case.others]
    for act in earlier:
        perform([act], origin)
    before = rows_and_journal()
    assert len(before[1]) == len(earlier)

    answer = through(door, Wish(action, student, course, on_full=case.on_full))

    assert CANNOT_BE_ASKED.get((door.__name__, rule.name), case.message) in answer
    assert rows_and_journal() == before


def test_every_case_is_that_of_a_rule():
    assert set(CASES) == {(action, rule.name) for action, rules in ASKED_FOR.items() for rule in rules}


@each_door
def test_door_names_every_reason_at_once(door):
    student = make_student(is_active=False)
    course = make_course(code="MATH-101", is_active=False, capacity=0)

    answer = door(Wish(Action.ENROLL, student, course))

    messages = ["This student is not active.", "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert [message for message in messages if message in answer] == messages


@each_door
def test_door_enrolls_whom_the_rules_let_in(door):
    student, course = make_student(), make_course()

    door(Wish(Action.ENROLL, student, course))

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, "enrolled")]
    assert EnrollmentEvent.objects.count() == 1


@each_door
def test_door_lets_wait_whoever_would_rather_wait_and_tells_the_place(door, origin):
    first, second, course = make_student(), make_student(), make_course(capacity=0, waitlist_capacity=5)
    enroll(student_id=first.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    answer = door(Wish(Action.ENROLL, second, course, on_full="waitlist"))

    told = {"admin": "at position 2", "command": "waitlisted Waitlist position 2."}
    assert told.get(door.__name__, '"waitlist_position":2') in answer
    assert list(StudentCourse.objects.in_line().values_list("student", flat=True)) == [first.pk, second.pk]


@each_door
@pytest.mark.parametrize("rule", [rule for rule in RULES[Action.ENROLL] if rule.waivable], ids=lambda rule: rule.name)
def test_door_waives_a_rule_for_a_reason_and_the_journal_keeps_both(door, rule):
    case = CASES[Action.ENROLL, rule.name]
    student, course = make_student(**case.student), case.make_course()

    door(Wish(Action.ENROLL, student, course, waive=(rule.code,), reason="the dean agreed"))

    [event] = EnrollmentEvent.objects.all()
    assert (event.to_status, event.waived, event.reason) == ("enrolled", [rule.code], "the dean agreed")


@each_door
def test_door_takes_no_waiver_without_a_reason(door):
    student, course = make_student(), make_course(capacity=0)

    answer = door(Wish(Action.ENROLL, student, course, waive=("course_full",)))

    assert "A waiver requires a reason." in answer
    assert rows_and_journal() == ([], [])


@each_door
@pytest.mark.parametrize("code", ["student_inactive", "nonsense"])
def test_door_takes_no_waiver_of_what_cannot_be_waived(door, code):
    student, course = make_student(is_active=False), make_course()

    answer = door(Wish(Action.ENROLL, student, course, waive=(code,), reason="please"))

    in_admin = f"Select a valid choice. {code} is not one of the available choices."
    assert (
        in_admin if door.__name__ == "admin" else f"The rule {code} cannot be waived. Rules that can be waived: "
    ) in answer
    assert rows_and_journal() == ([], [])


@each_door
@pytest.mark.parametrize(
    ("action", "status"), [(Action.DROP, "dropped"), (Action.COMPLETE, "completed"), (Action.UNDO, "dropped")]
)
def test_door_ends_an_enrollment_whose_rules_let_it(door, action, status, origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    through(door, Wish(action, student, course))

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, status)]
    assert [event.to_status for event in EnrollmentEvent.objects.all()] == ["enrolled", status]


@each_door
@pytest.mark.parametrize("action", [Action.DROP, Action.COMPLETE])
def test_a_seat_freed_through_a_door_goes_to_who_waits(door, action, origin):
    leaving, waiting, course = make_student(), make_student(), make_course(capacity=1, waitlist_capacity=1)
    for student in (leaving, waiting):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)

    door(Wish(action, leaving, course))

    assert list(StudentCourse.objects.seated().values_list("student", flat=True)) == [waiting.pk]
    promoted = EnrollmentEvent.objects.latest("pk")
    assert (promoted.action, promoted.channel, promoted.actor) == ("promote", "system", None)


@each_door
def test_door_leaves_alone_who_is_in_already(door, origin):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, origin=origin)
    before = rows_and_journal()

    answer = door(Wish(Action.ENROLL, student, course))

    in_admin = f"This student is already enrolled in {course.code} or on its waitlist."
    told = {"api": '"status":"enrolled"', "batch": '"status":"unchanged"', "admin": in_admin, "command": "unchanged"}
    assert told[door.__name__] in answer
    assert rows_and_journal() == before


@each_door
@pytest.mark.parametrize("action", ASKED_FOR)
def test_door_writes_its_name_into_the_journal(door, action, origin):
    student, course = make_student(), make_course()
    if action != Action.ENROLL:
        enroll(student_id=student.pk, course_id=course.pk, origin=origin)

    through(door, Wish(action, student, course))

    newest = EnrollmentEvent.objects.latest("pk")
    assert (newest.action, newest.channel) == (action, CHANNELS[door.__name__])
