"""One set of rules for every entry point: a refusal is the same everywhere, with the same message."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from courses.models import Course
from students.enrollment import enroll, execute
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.rules import RULES, unchanged_since_import
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.support.entry_points import ENTRY_POINTS, NotOffered, RequestedAction
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Case:
    """
    A student and a course that break one rule, and its message.

    ``before`` are earlier commands of the student in the course, ``others`` later ones of another student in it.
    ``term`` has the fields of the course's term, if it has one.
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
    (Action.ENROLL, "waitlist_has_room"): Case(
        "MATH-101 has no free seat and no waitlist.", course={"capacity": 0}, on_full="waitlist"
    ),
    (Action.DROP, "has_enrollment"): Case("This student was never enrolled in MATH-101."),
    (Action.DROP, "transition_allowed"): Case(
        "The enrollment is completed and cannot become dropped, because it has ended.",
        before=(Action.ENROLL, Action.COMPLETE),
    ),
    (Action.COMPLETE, "has_enrollment"): Case("This student was never enrolled in MATH-101."),
    (Action.COMPLETE, "transition_allowed"): Case(
        "The enrollment is dropped and cannot become completed, because it has ended.",
        before=(Action.ENROLL, Action.DROP),
    ),
    (Action.UNDO, "has_enrollment"): Case("This student was never enrolled in MATH-101."),
    (Action.UNDO, "has_undoable_event"): Case("There is no change left to undo.", before=(Action.ENROLL, Action.UNDO)),
    (Action.UNDO, "seat_free_for_undo"): Case(
        "MATH-101 has no free seat.",
        course={"capacity": 1},
        before=(Action.ENROLL, Action.DROP),
        others=(Action.ENROLL,),
    ),
}
# No client requests a promotion, and only the undo of an import checks for changes since the import.
ASKED_FOR = {
    action: tuple(rule for rule in rules if rule is not unchanged_since_import)
    for action, rules in RULES.items()
    if action != Action.PROMOTE
}

# Rules that an entry point cannot break, and its message instead: the actions of the admin apply to selected
# enrollments, and a student who was never enrolled has none.
CANNOT_BE_ASKED: dict[tuple[str, str], str] = {
    ("admin", "has_enrollment"): "Items must be selected in order to perform actions on them.",
}

CHANNELS = {"api": "api", "batch": "api", "admin": "admin", "command": "import"}

each_entry_point = pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry_point: entry_point.__name__)


def through(entry_point, request):
    """Return the response of an entry point; skip if it does not offer the action."""
    try:
        return entry_point(request)
    except NotOffered:
        pytest.skip(f"{entry_point.__name__} does not {request.action}")


def rows_and_journal():
    return list(StudentCourse.objects.order_by("pk").values()), list(EnrollmentEvent.objects.order_by("pk").values())


@each_entry_point
@pytest.mark.parametrize(
    ("action", "rule"),
    [pytest.param(action, rule, id=f"{action}-{rule.name}") for action, rules in ASKED_FOR.items() for rule in rules],
)
def test_entry_point_obeys_rule(entry_point, action, rule, actor):
    case = CASES[action, rule.name]  # a new rule needs its case
    student, other = make_student(**case.student), make_student()
    course = case.make_course()
    earlier = [EnrollmentCommand(each, student.pk, course.pk) for each in case.before]
    earlier += [EnrollmentCommand(each, other.pk, course.pk) for each in case.others]
    for act in earlier:
        execute([act], actor)
    before = rows_and_journal()
    assert len(before[1]) == len(earlier)

    answer = through(entry_point, RequestedAction(action, student, course, on_full=case.on_full))

    assert CANNOT_BE_ASKED.get((entry_point.__name__, rule.name), case.message) in answer
    assert rows_and_journal() == before


def test_every_rule_has_a_case_and_every_case_a_rule():
    assert set(CASES) == {(action, rule.name) for action, rules in ASKED_FOR.items() for rule in rules}


@each_entry_point
def test_entry_point_reports_every_reason_at_once(entry_point):
    student = make_student(is_active=False)
    course = make_course(code="MATH-101", is_active=False, capacity=0)

    answer = entry_point(RequestedAction(Action.ENROLL, student, course))

    messages = ["This student is not active.", "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert [message for message in messages if message in answer] == messages


@each_entry_point
def test_entry_point_enrolls_a_student_accepted_by_the_rules(entry_point):
    student, course = make_student(), make_course()

    entry_point(RequestedAction(Action.ENROLL, student, course))

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, "enrolled")]
    assert EnrollmentEvent.objects.count() == 1


@each_entry_point
def test_entry_point_waitlists_a_student_on_request_and_reports_the_position(entry_point, actor):
    first, second, course = make_student(), make_student(), make_course(capacity=0, waitlist_capacity=5)
    enroll(student_id=first.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    answer = entry_point(RequestedAction(Action.ENROLL, second, course, on_full="waitlist"))

    told = {"admin": "is waitlisted at 2 in", "command": "waitlisted Waitlist position 2."}
    assert told.get(entry_point.__name__, '"waitlist_position":2') in answer
    assert list(StudentCourse.objects.in_waitlist_order().values_list("student", flat=True)) == [first.pk, second.pk]


@each_entry_point
@pytest.mark.parametrize("rule", [rule for rule in RULES[Action.ENROLL] if rule.waivable], ids=lambda rule: rule.name)
def test_entry_point_waives_a_rule_and_the_journal_records_waiver_and_reason(entry_point, rule):
    case = CASES[Action.ENROLL, rule.name]
    student, course = make_student(**case.student), case.make_course()

    entry_point(RequestedAction(Action.ENROLL, student, course, waive=(rule.code,), reason="the dean agreed"))

    [event] = EnrollmentEvent.objects.all()
    assert (event.to_status, event.waived, event.reason) == ("enrolled", [rule.code], "the dean agreed")


@each_entry_point
def test_entry_point_refuses_a_waiver_without_a_reason(entry_point):
    student, course = make_student(), make_course(capacity=0)

    answer = entry_point(RequestedAction(Action.ENROLL, student, course, waive=("course_full",)))

    assert "A waiver requires a reason." in answer
    assert rows_and_journal() == ([], [])


@each_entry_point
@pytest.mark.parametrize("code", ["student_inactive", "nonsense"])
def test_entry_point_refuses_a_waiver_of_a_rule_that_cannot_be_waived(entry_point, code):
    student, course = make_student(is_active=False), make_course()

    answer = entry_point(RequestedAction(Action.ENROLL, student, course, waive=(code,), reason="please"))

    in_admin = f"Select a valid choice. {code} is not one of the available choices."
    assert (
        in_admin if entry_point.__name__ == "admin" else f"The rule {code} cannot be waived. Rules that can be waived: "
    ) in answer
    assert rows_and_journal() == ([], [])


@each_entry_point
@pytest.mark.parametrize(
    ("action", "status"), [(Action.DROP, "dropped"), (Action.COMPLETE, "completed"), (Action.UNDO, "dropped")]
)
def test_entry_point_ends_an_enrollment_if_the_rules_allow_it(entry_point, action, status, actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    through(entry_point, RequestedAction(action, student, course))

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, status)]
    assert [event.to_status for event in EnrollmentEvent.objects.all()] == ["enrolled", status]


@each_entry_point
@pytest.mark.parametrize("action", [Action.DROP, Action.COMPLETE])
def test_a_seat_freed_by_an_entry_point_goes_to_a_waitlisted_student(entry_point, action, actor):
    leaving, waiting, course = make_student(), make_student(), make_course(capacity=1, waitlist_capacity=1)
    for student in (leaving, waiting):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    entry_point(RequestedAction(action, leaving, course))

    assert list(StudentCourse.objects.enrolled().values_list("student", flat=True)) == [waiting.pk]
    promoted = EnrollmentEvent.objects.latest("pk")
    assert (promoted.action, promoted.channel, promoted.actor) == ("promote", "system", None)


@each_entry_point
def test_entry_point_does_not_change_an_enrolled_student(entry_point, actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    before = rows_and_journal()

    answer = entry_point(RequestedAction(Action.ENROLL, student, course))

    in_admin = f"This student is already enrolled in {course.code} or on its waitlist."
    told = {"api": '"status":"enrolled"', "batch": '"status":"unchanged"', "admin": in_admin, "command": "unchanged"}
    assert told[entry_point.__name__] in answer
    assert rows_and_journal() == before


@each_entry_point
@pytest.mark.parametrize("action", ASKED_FOR)
def test_entry_point_records_its_channel_in_the_journal(entry_point, action, actor):
    student, course = make_student(), make_course()
    if action != Action.ENROLL:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    through(entry_point, RequestedAction(action, student, course))

    newest = EnrollmentEvent.objects.latest("pk")
    assert (newest.action, newest.channel) == (action, CHANNELS[entry_point.__name__])
