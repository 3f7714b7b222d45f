"""The enrollment rules, without a database."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest

from courses.models import Course, Term
from students.enrollment.commands import EnrollmentCommand
from students.enrollment.decision_context import DecisionContext
from students.enrollment.rules import ALL_RULES, evaluate
from students.enrollment.transitions import is_noop, next_status
from students.models import Action, Status, Student, StudentCourse

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)

ENROLL = EnrollmentCommand(Action.ENROLL, 1, 2)
DROP = EnrollmentCommand(Action.DROP, 1, 2)
COMPLETE = EnrollmentCommand(Action.COMPLETE, 1, 2)


def register(
    *,
    student: Student | None = None,
    course: Course | None = None,
    status: str = "",
    grade: str = "",
    taken: int = 0,
    completed: Iterable[str] = (),
) -> DecisionContext:
    latest = {(1, 2): StudentCourse(student_id=1, course_id=2, status=status, grade=grade)} if status else {}
    return DecisionContext(
        now=NOW,
        student_is_active={1: (student or Student(pk=1)).is_active},
        courses={2: course or Course(pk=2, code="MATH-101")},
        latest_enrollments=latest,
        seats_taken=Counter({2: taken}),
        completed=Counter((1, code) for code in completed),
    )


def codes(act: EnrollmentCommand, facts: DecisionContext) -> list[str]:
    return [refusal.code for refusal in evaluate(act, facts).refusals]


def test_an_active_student_is_accepted_in_an_open_course():
    assert codes(ENROLL, register()) == []


def test_an_inactive_student_is_refused():
    assert codes(ENROLL, register(student=Student(pk=1, is_active=False))) == ["student_inactive"]


def test_an_inactive_course_refuses_enrollment():
    assert codes(ENROLL, register(course=Course(pk=2, is_active=False))) == ["course_inactive"]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, []),
        ({"enrollment_opens_at": LATER}, ["enrollment_not_open"]),
        ({"enrollment_opens_at": NOW}, []),
        ({"enrollment_closes_at": NOW}, ["enrollment_closed"]),
        ({"enrollment_closes_at": LATER}, []),
        ({"enrollment_opens_at": EARLIER, "enrollment_closes_at": LATER}, []),
    ],
)
def test_the_enrollment_window_includes_its_start_and_excludes_its_end(window, expected):
    assert codes(ENROLL, register(course=Course(pk=2, code="MATH-101", **window))) == expected


@pytest.mark.parametrize(
    ("capacity", "taken", "expected"),
    [(None, 1_000, []), (0, 0, ["course_full"]), (30, 29, []), (30, 30, ["course_full"]), (30, 31, ["course_full"])],
)
def test_a_course_accepts_as_many_students_as_it_has_seats(capacity, taken, expected):
    facts = register(course=Course(pk=2, code="MATH-101", capacity=capacity), taken=taken)

    assert codes(ENROLL, facts) == expected


@pytest.mark.parametrize(("completed", "missing"), [([], "A, B"), (["A"], "B"), (["B", "C"], "A"), (["A", "B"], None)])
def test_prerequisites_must_be_completed_and_missing_ones_are_listed(completed, missing):
    facts = register(course=Course(pk=2, code="C", prerequisites=["A", "B"]), completed=completed)

    messages = [refusal.message for refusal in evaluate(ENROLL, facts).refusals]

    assert messages == ([f"C requires {missing} to be completed first."] if missing else [])


def test_all_broken_rules_are_reported_together():
    windows = {"enrollment_opens_at": LATER, "enrollment_closes_at": EARLIER}
    course = Course(pk=2, is_active=False, capacity=0, prerequisites=["A"], **windows)

    found = codes(ENROLL, register(student=Student(pk=1, is_active=False), course=course))

    assert found == [
        "student_inactive",
        "course_inactive",
        "enrollment_not_open",
        "enrollment_closed",
        "prerequisite_missing",
        "course_full",
    ]


def test_an_unknown_student_and_an_unknown_course_are_both_reported():
    assert codes(ENROLL, DecisionContext(now=NOW)) == ["student_not_found", "course_not_found"]


@pytest.mark.parametrize("status", [Status.ENROLLED, Status.WAITLISTED])
def test_enrolling_an_enrolled_student_again_is_accepted_without_checks(status):
    facts = register(student=Student(pk=1, is_active=False), status=status)

    assert (codes(ENROLL, facts), is_noop(ENROLL, facts)) == ([], True)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.DROPPED, Status.WITHDRAWN])
def test_a_student_who_left_is_checked_again(status):
    facts = register(course=Course(pk=2, code="MATH-101", is_active=False), status=status)

    assert codes(ENROLL, facts) == ["course_inactive"]


@pytest.mark.parametrize(
    ("act", "status", "expected"),
    [
        (DROP, "", ["not_enrolled"]),
        (DROP, Status.ENROLLED, []),
        (DROP, Status.WAITLISTED, []),
        (DROP, Status.COMPLETED, ["illegal_transition"]),
        (DROP, Status.DROPPED, []),
        (DROP, Status.WITHDRAWN, []),
        (COMPLETE, "", ["not_enrolled"]),
        (COMPLETE, Status.ENROLLED, []),
        (COMPLETE, Status.WAITLISTED, ["illegal_transition"]),
        (COMPLETE, Status.COMPLETED, []),
        (COMPLETE, Status.DROPPED, ["illegal_transition"]),
        (COMPLETE, Status.WITHDRAWN, ["illegal_transition"]),
    ],
)
def test_each_status_allows_only_its_transitions(act, status, expected):
    assert codes(act, register(status=status)) == expected


@pytest.mark.parametrize(
    ("act", "status", "sentence"),
    [
        (COMPLETE, Status.WAITLISTED, "The enrollment is waitlisted and cannot become completed. Possible: dropped."),
        (COMPLETE, Status.DROPPED, "The enrollment is dropped and cannot become completed, because it has ended."),
    ],
)
def test_an_invalid_transition_lists_the_allowed_ones(act, status, sentence):
    assert [refusal.message for refusal in evaluate(act, register(status=status)).refusals] == [sentence]


@pytest.mark.parametrize(
    ("grade", "asked", "done"), [("A", None, True), ("A", "A", True), ("A", "B", False), ("A", "", False)]
)
def test_completing_again_is_unchanged_unless_the_grade_differs(grade, asked, done):
    act = EnrollmentCommand(Action.COMPLETE, 1, 2, grade=asked)

    assert is_noop(act, register(status=Status.COMPLETED, grade=grade)) == done


@pytest.mark.parametrize(
    ("deadline", "status", "expected"),
    [
        (None, Status.ENROLLED, Status.DROPPED),
        (date(2026, 9, 15), Status.ENROLLED, Status.DROPPED),
        (date(2026, 9, 14), Status.ENROLLED, Status.WITHDRAWN),
        (date(2026, 9, 14), Status.WAITLISTED, Status.DROPPED),
    ],
)
def test_the_deadline_separates_dropped_from_withdrawn(deadline, status, expected):
    facts = register(course=Course(pk=2, term=Term(drop_deadline=deadline)), status=status)

    assert next_status(DROP, facts) == expected


def test_without_a_term_leaving_is_always_a_drop():
    assert next_status(DROP, register(status=Status.ENROLLED)) == Status.DROPPED


def test_every_rule_has_an_explanation():
    assert [rule.code for rule in ALL_RULES if not (rule.explanation and str(rule.title))] == []
