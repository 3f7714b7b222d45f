"""One set of rules for every entry point: a refusal is the same everywhere, with the same message."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from courses.meetings import parse_meetings
from courses.models import Course
from students.enrollment import complete, enroll, execute
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.rules import RULES, unchanged_since_import
from students.models import Action, EnrollmentEvent, Student, StudentCourse
from tests.support.entry_points import ENTRY_POINTS, NotOffered, RequestedAction
from tests.support.factories import make_course, make_grades, make_hold, make_student, make_term

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Case:
    """
    A student and a course that break one rule, and its message.

    ``before`` are earlier commands of the student in the course, ``others`` later ones of another student in it.
    ``holds`` has the fields of other courses in the term of the course, in which the student enrolls after that.
    ``hold_codes`` are the codes of the student's holds. ``term`` has the fields of the course's term, if it has one.
    ``grade`` is the grade of the request; with it, there is a table of grades. ``instead_of`` is the code of the course
    that the request swaps.
    """

    message: str
    student: dict[str, Any] = field(default_factory=dict)
    course: dict[str, Any] = field(default_factory=dict)
    term: dict[str, Any] = field(default_factory=dict)
    before: tuple[Action, ...] = ()
    others: tuple[Action, ...] = ()
    holds: tuple[dict[str, Any], ...] = ()
    on_full: str = "reject"
    grade: str = ""
    hold_codes: tuple[str, ...] = ()
    instead_of: str = ""

    def make_course(self) -> Course:
        term = {"term": make_term(**self.term)} if self.term else {}
        return make_course(code="MATH-101", **self.course, **term)

    def make_student(self) -> Student:
        student = make_student(**self.student)
        for code in self.hold_codes:
            make_hold(student, code)
        return student

    def course_to_leave(self, course: Course) -> Course | None:
        if self.instead_of == course.code:
            return course
        return make_course(code=self.instead_of) if self.instead_of else None

    def hold_other_courses(self, student: Student, course: Course) -> list[EnrollmentCommand]:
        held = [make_course(term=course.term, **fields) for fields in self.holds]
        return [EnrollmentCommand(Action.ENROLL, student.pk, each.pk) for each in held]


CASES: dict[tuple[str, str], Case] = {
    (Action.ENROLL, "student_is_active"): Case("This student is not active.", student={"is_active": False}),
    (Action.ENROLL, "has_no_hold"): Case("This student has the hold LIBRARY.", hold_codes=("LIBRARY",)),
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
    (Action.ENROLL, "corequisites_are_taken"): Case(
        "MATH-101 requires LAB-1, LAB-2 to be taken in the same term or completed before.",
        course={"corequisites": ["LAB-1", "LAB-2", "LAB-3"]},
        holds=({"code": "LAB-3"},),
    ),
    (Action.ENROLL, "credits_are_within_maximum"): Case(
        "18 of 18 credits are taken; MATH-101 has 3.",
        course={"credits": 3},
        term={"max_credits": 18},
        holds=({"credits": 10}, {"credits": 8}),
    ),
    (Action.ENROLL, "meets_at_another_time"): Case(
        "MATH-101 meets at the same time as another course: CS-1 (Monday 11:00-11:30).",
        course={"meetings": parse_meetings("mon 10:00-11:30")},
        holds=({"code": "CS-1", "meetings": parse_meetings("mon 11:00-12:00")},),
    ),
    (Action.ENROLL, "no_other_section"): Case(
        "This student is in another section of MATH-101 already: MATH-101@@B.",
        holds=({"code": "MATH-101", "section": "B"},),
    ),
    (Action.ENROLL, "swap_names_two_courses"): Case("MATH-101 cannot be swapped with itself.", instead_of="MATH-101"),
    (Action.ENROLL, "swapped_course_has_seat"): Case("This student is not enrolled in OLD.", instead_of="OLD"),
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
    (Action.COMPLETE, "grade_is_known"): Case(
        "E is not in the table of grades. Grades: A, B, C, D, F.", before=(Action.ENROLL,), grade="E"
    ),
    (Action.UNDO, "has_enrollment"): Case("This student was never enrolled in MATH-101."),
    (Action.UNDO, "has_undoable_event"): Case("There is no change left to undo.", before=(Action.ENROLL, Action.UNDO)),
    (Action.UNDO, "seat_free_for_undo"): Case(
        "MATH-101 has no free seat.",
        course={"capacity": 1},
        before=(Action.ENROLL, Action.DROP),
        others=(Action.ENROLL,),
    ),
    (Action.UNDO, "no_other_section"): Case(
        "This student is in another section of MATH-101 already: MATH-101@@B.",
        before=(Action.ENROLL, Action.DROP),
        holds=({"code": "MATH-101", "section": "B"},),
    ),
    (Action.UNDO, "credits_are_within_maximum"): Case(
        "18 of 18 credits are taken; MATH-101 has 3.",
        course={"credits": 3},
        term={"max_credits": 18},
        before=(Action.ENROLL, Action.DROP),
        holds=({"credits": 18},),
    ),
    (Action.UNDO, "meets_at_another_time"): Case(
        "MATH-101 meets at the same time as another course: CS-1 (Monday 11:00-11:30).",
        course={"meetings": parse_meetings("mon 10:00-11:30")},
        before=(Action.ENROLL, Action.DROP),
        holds=({"code": "CS-1", "meetings": parse_meetings("mon 11:00-12:00")},),
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
    student, other = case.make_student(), make_student()
    course = case.make_course()
    if case.grade:
        make_grades()
    earlier = [EnrollmentCommand(each, student.pk, course.pk) for each in case.before]
    earlier += [EnrollmentCommand(each, other.pk, course.pk) for each in case.others]
    earlier += case.hold_other_courses(student, course)
    for act in earlier:
        execute([act], actor)
    before = rows_and_journal()
    assert len(before[1]) == len(earlier)

    request = RequestedAction(action, student, course, case.on_full, grade=case.grade)
    answer = through(entry_point, replace(request, instead_of=case.course_to_leave(course)))

    assert CANNOT_BE_ASKED.get((entry_point.__name__, rule.name), case.message) in answer
    assert rows_and_journal() == before


def test_every_rule_has_a_case_and_every_case_a_rule():
    assert set(CASES) == {(action, rule.name) for action, rules in ASKED_FOR.items() for rule in rules}


@each_entry_point
def test_entry_point_reports_every_reason_at_once(entry_point):
    student = make_student(is_active=False)
    course = make_course(code="MATH-101", is_active=False, capacity=0)
    make_hold(student, "LIBRARY")
    make_hold(student, "FEES")

    answer = entry_point(RequestedAction(Action.ENROLL, student, course))

    holds = ["This student has the hold LIBRARY.", "This student has the hold FEES."]
    messages = ["This student is not active.", *holds, "MATH-101 is not active.", "MATH-101 has no free seat."]
    assert [message for message in messages if message in answer] == messages


@each_entry_point
def test_entry_point_enrolls_a_student_accepted_by_the_rules(entry_point):
    student, course = make_student(), make_course()

    entry_point(RequestedAction(Action.ENROLL, student, course))

    assert [(e.student, e.course, e.status) for e in StudentCourse.objects.all()] == [(student, course, "enrolled")]
    assert EnrollmentEvent.objects.count() == 1


@each_entry_point
def test_entry_point_counts_passing_grades_and_alternatives(entry_point, actor):
    make_grades()
    student = make_student()
    for code, grade in {"MATH-1": "F", "CS-1": "D", "STAT-2": "D"}.items():
        earlier = make_course(code=code)
        enroll(student_id=student.pk, course_id=earlier.pk, actor=actor)
        complete(student_id=student.pk, course_id=earlier.pk, grade=grade, actor=actor)
    items = ["MATH-1", ["CS-0", "CS-1"], ["CS-0", "MATH-1"], {"course": "STAT-2", "grade": "C"}]
    course = make_course(code="MATH-101", prerequisites=items)

    answer = entry_point(RequestedAction(Action.ENROLL, student, course))

    missing = "MATH-1, CS-0 or MATH-1, STAT-2 with the grade C or better"
    assert f"MATH-101 requires {missing} to be completed first." in answer
    assert StudentCourse.objects.filter(course=course).count() == 0


@each_entry_point
@pytest.mark.parametrize("grade", ["C", ""])
def test_entry_point_completes_with_a_grade_of_the_table_or_without_one(entry_point, grade, actor):
    make_grades()
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    through(entry_point, RequestedAction(Action.COMPLETE, student, course, grade=grade))

    assert list(StudentCourse.objects.values_list("status", "grade")) == [("completed", grade)]


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
def test_entry_point_waives_a_rule_and_the_journal_records_waiver_and_reason(entry_point, rule, actor):
    case = CASES[Action.ENROLL, rule.name]
    student, course = case.make_student(), case.make_course()
    execute(case.hold_other_courses(student, course), actor)

    entry_point(RequestedAction(Action.ENROLL, student, course, waive=(rule.code,), reason="the dean agreed"))

    [event] = EnrollmentEvent.objects.filter(enrollment__course=course)
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


@each_entry_point
def test_entry_point_swaps_a_course(entry_point, actor):
    student, old, new = make_student(), make_course(code="OLD"), make_course(code="NEW")
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    entry_point(RequestedAction(Action.ENROLL, student, new, instead_of=old, reason="moved"))

    rows = StudentCourse.objects.order_by("pk")
    assert [(row.course.code, row.status) for row in rows] == [("OLD", "dropped"), ("NEW", "enrolled")]
    [_first, drop, taken] = EnrollmentEvent.objects.order_by("pk")
    told = [(each.action, each.channel, each.reason) for each in (drop, taken)]
    assert told == [(action, CHANNELS[entry_point.__name__], "moved") for action in ("drop", "enroll")]
    assert (drop.request_id, drop.actor) == (taken.request_id, taken.actor)


@each_entry_point
def test_entry_point_keeps_the_seat_if_a_swap_is_refused(entry_point, actor):
    student, old, full = make_student(), make_course(code="OLD"), make_course(code="FULL", capacity=0)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)
    before = rows_and_journal()

    answer = entry_point(RequestedAction(Action.ENROLL, student, full, instead_of=old))

    assert "FULL has no free seat." in answer
    assert rows_and_journal() == before


@each_entry_point
def test_entry_point_waits_for_a_swap_and_the_wish_shows(entry_point, actor):
    student, old = make_student(), make_course(code="OLD")
    full = make_course(code="FULL", capacity=0, waitlist_capacity=5)
    enroll(student_id=student.pk, course_id=old.pk, actor=actor)

    entry_point(RequestedAction(Action.ENROLL, student, full, on_full="waitlist", instead_of=old))

    rows = StudentCourse.objects.order_by("pk")
    told = [(row.course.code, row.status, row.instead_of) for row in rows]
    assert told == [("OLD", "enrolled", None), ("FULL", "waitlisted", old)]
