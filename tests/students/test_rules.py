"""Rules by themselves: no database."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest

from courses.models import Course, Term
from students.enrollment.commands import Act
from students.enrollment.context import Register
from students.enrollment.rules import ALL_RULES, verdict
from students.enrollment.transitions import is_done_already, status_after
from students.models import Action, Status, Student, StudentCourse

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)

ENROLL = Act(Action.ENROLL, 1, 2)
DROP = Act(Action.DROP, 1, 2)
COMPLETE = Act(Action.COMPLETE, 1, 2)


def register(
    *,
    student: Student | None = None,
    course: Course | None = None,
    status: str = "",
    grade: str = "",
    taken: int = 0,
    completed: Iterable[str] = (),
) -> Register:
    latest = {(1, 2): StudentCourse(student_id=1, course_id=2, status=status, grade=grade)} if status else {}
    return Register(
        now=NOW,
        active={1: (student or Student(pk=1)).is_active},
        courses={2: course or Course(pk=2, code="MATH-101")},
        latest=latest,
        taken=Counter({2: taken}),
        completed=Counter((1, code) for code in completed),
    )


def codes(act: Act, facts: Register) -> list[str]:
    return [refusal.code for refusal in verdict(act, facts).refusals]


def test_nothing_stands_against_an_active_student_in_an_open_course():
    assert codes(ENROLL, register()) == []


def test_an_inactive_student_is_refused():
    assert codes(ENROLL, register(student=Student(pk=1, is_active=False))) == ["student_inactive"]


def test_an_inactive_course_refuses():
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
def test_the_window_includes_its_first_instant_and_excludes_its_last(window, expected):
    assert codes(ENROLL, register(course=Course(pk=2, code="MATH-101", **window))) == expected


@pytest.mark.parametrize(
    ("capacity", "taken", "expected"),
    [(None, 1_000, []), (0, 0, ["course_full"]), (30, 29, []), (30, 30, ["course_full"]), (30, 31, ["course_full"])],
)
def test_a_course_takes_as_many_as_it_has_seats(capacity, taken, expected):
    facts = register(course=Course(pk=2, code="MATH-101", capacity=capacity), taken=taken)

    assert codes(ENROLL, facts) == expected


@pytest.mark.parametrize(("completed", "missing"), [([], "A, B"), (["A"], "B"), (["B", "C"], "A"), (["A", "B"], None)])
def test_what_a_course_asks_for_must_be_completed_and_what_is_missing_is_named(completed, missing):
    facts = register(course=Course(pk=2, code="C", prerequisites=["A", "B"]), completed=completed)

    messages = [refusal.message for refusal in verdict(ENROLL, facts).refusals]

    assert messages == ([f"C requires {missing} to be completed first."] if missing else [])


def test_every_rule_answers():
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


def test_an_unknown_student_and_an_unknown_course_are_both_named():
    assert codes(ENROLL, Register(now=NOW)) == ["student_not_found", "course_not_found"]


@pytest.mark.parametrize("status", [Status.ENROLLED, Status.WAITLISTED])
def test_who_is_in_already_is_not_judged_again(status):
    facts = register(student=Student(pk=1, is_active=False), status=status)

    assert (codes(ENROLL, facts), is_done_already(ENROLL, facts)) == ([], True)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.DROPPED, Status.WITHDRAWN])
def test_who_has_left_is_judged_anew(status):
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
def test_what_has_ended_stays_as_it_ended(act, status, expected):
    assert codes(act, register(status=status)) == expected


@pytest.mark.parametrize(
    ("act", "status", "sentence"),
    [
        (COMPLETE, Status.WAITLISTED, "The enrollment is waitlisted and cannot become completed. Possible: dropped."),
        (COMPLETE, Status.DROPPED, "The enrollment is dropped and cannot become completed, because it has ended."),
    ],
)
def test_an_illegal_transition_names_those_that_are_allowed(act, status, sentence):
    assert [refusal.message for refusal in verdict(act, register(status=status)).refusals] == [sentence]


@pytest.mark.parametrize(
    ("grade", "asked", "done"), [("A", None, True), ("A", "A", True), ("A", "B", False), ("A", "", False)]
)
def test_completing_again_is_done_unless_the_grade_differs(grade, asked, done):
    act = Act(Action.COMPLETE, 1, 2, grade=asked)

    assert is_done_already(act, register(status=Status.COMPLETED, grade=grade)) == done


@pytest.mark.parametrize(
    ("deadline", "status", "expected"),
    [
        (None, Status.ENROLLED, Status.DROPPED),
        (date(2026, 9, 15), Status.ENROLLED, Status.DROPPED),
        (date(2026, 9, 14), Status.ENROLLED, Status.WITHDRAWN),
        (date(2026, 9, 14), Status.WAITLISTED, Status.DROPPED),
    ],
)
def test_the_deadline_tells_a_drop_from_a_withdrawal(deadline, status, expected):
    facts = register(course=Course(pk=2, term=Term(drop_deadline=deadline)), status=status)

    assert status_after(DROP, facts) == expected


def test_without_a_term_one_can_always_drop():
    assert status_after(DROP, register(status=Status.ENROLLED)) == Status.DROPPED


def test_every_rule_explains_itself():
    assert [rule.code for rule in ALL_RULES if not (rule.explanation and str(rule.title))] == []
