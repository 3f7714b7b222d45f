"""The decision cache of batches: commands with the same cache key get the decision they would get singly."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from students.enrollment import execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.enrollment.decision_context import DecisionContext
from students.enrollment.rules import RULES
from students.models import Action, Channel, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student

ORIGIN = ActorContext(Channel.SYSTEM, may_waive=True)


class Restricted:
    """An object whose other attributes cannot be read."""

    def __init__(self, **allowed: Any) -> None:
        self.__dict__.update(allowed)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"A rule looks at {name}: acts that differ in it would be decided alike.")


@pytest.mark.parametrize("rule", RULES[Action.ENROLL], ids=lambda rule: rule.name)
@pytest.mark.parametrize("is_active", [True, False])
def test_rules_read_only_attributes_that_the_decision_cache_uses_as_its_key(rule, is_active):
    """The cache evaluates the rules once per course, student activity and free seat."""
    course = SimpleNamespace(
        pk=2,
        code="C",
        is_active=True,
        capacity=0,
        waitlist_capacity=0,
        prerequisites=[],
        credits=None,
        meetings=[],
        corequisites=[],
        term=None,
        has_opened=lambda now: True,
        has_closed=lambda now: False,
    )
    register = DecisionContext(student_is_active={1: is_active}, courses={2: course})  # type: ignore[dict-item]
    act: Any = Restricted(
        action=Action.ENROLL,
        student_id=1,
        course_id=2,
        key=(1, 2),
        on_full=OnFull.REJECT,
        waived_codes=frozenset(),
        instead_of=None,
    )

    rule(act, register)


def normalized_history(courses):
    """Return the enrollments of courses and the journal, without values that differ from run to run."""
    rows = StudentCourse.objects.filter(course__in=courses).values_list(
        "student__given_name", "course__name", "status", "version"
    )
    events = EnrollmentEvent.objects.order_by("pk").values_list(
        "enrollment__student__given_name", "enrollment__course__name", "action", "from_status", "to_status", "reason"
    )
    return sorted(rows), list(events)


class Batches(TestCase):
    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([Action.ENROLL] * 6 + [Action.DROP, Action.COMPLETE]),
                st.integers(0, 9),
                st.integers(0, 3),
                st.sampled_from(OnFull),
                st.sampled_from(["", "", "because"]),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    def test_a_batch_has_the_outcomes_of_its_commands_executed_singly(self, drawn):
        told = []
        for round_, size in enumerate((1, len(drawn) or 1)):
            students = [make_student(given_name=str(n), is_active=n != 7) for n in range(10)]
            limits: list[dict[str, Any]] = [
                {"capacity": None},
                {"capacity": 2},
                {"capacity": 1, "waitlist_capacity": 2},
                {"capacity": 3, "prerequisites": ["P"]},
            ]
            courses = [make_course(name=str(n), **limit) for n, limit in enumerate(limits)]
            courses[0].code = f"P{round_}"
            courses[3].prerequisites = [courses[0].code]
            for course in courses:
                course.save()
            acts = [
                EnrollmentCommand(
                    action,
                    students[student].pk,
                    courses[course].pk,
                    reason=reason,
                    on_full=on_full,
                    waived_codes=frozenset(["course_full"] if waives and reason and action == Action.ENROLL else []),
                )
                for action, student, course, on_full, reason, waives in drawn
            ]
            outcomes = []
            known = EnrollmentEvent.objects.count()
            for start in range(0, len(acts), size):
                outcomes += execute(acts[start : start + size], ORIGIN)
            rows, events = normalized_history(courses)
            told.append(
                (
                    [(o.changed, [refusal.code for refusal in o.refusals]) for o in outcomes],
                    [
                        o.enrollment and (o.enrollment.student_id, o.enrollment.course_id) == o.command.key
                        for o in outcomes
                    ],
                    rows,
                    events[known:],
                )
            )

        assert told[0] == told[1]
