"""The journal is append-only and complete, and every enrollment can be restored from it."""

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from school.refusals import Refusal
from students.enrollment import enroll, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.events.journal import replay, replayable_snapshot
from students.models import Action, Channel, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student
from tools.fuzz import examples


def broken_rows():
    """Return the enrollments that differ from the replay of their journal."""
    rows = StudentCourse.objects.prefetch_related("events")
    return [row.pk for row in rows if replay(row.events.order_by("pk")) != replayable_snapshot(row)]


class RandomActs(TestCase):
    """Hypothesis needs a fresh database for each example; the fixtures of pytest-django make one for all examples."""

    @settings(max_examples=examples(60))
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([Action.ENROLL, Action.ENROLL, Action.DROP, Action.COMPLETE, Action.UNDO]),
                st.integers(0, 3),
                st.integers(0, 1),
                st.sampled_from(OnFull),
                st.booleans(),
                st.sampled_from([None, "", "A", "B"]),
            ),
            max_size=30,
        ),
        st.integers(1, 30),
    )
    def test_replaying_the_journal_restores_the_rows_after_any_batches(self, drawn, size):
        students = [make_student().pk for _ in range(4)]
        courses = [make_course(capacity=1, waitlist_capacity=2).pk, make_course(capacity=2, waitlist_capacity=1).pk]
        actor = ActorContext(Channel.SYSTEM, may_waive=True)
        acts = [
            EnrollmentCommand(
                action,
                students[student],
                courses[course],
                grade if action == Action.COMPLETE else None,
                "because",
                on_full,
                frozenset(["course_full"] if waive else []),
            )
            for action, student, course, on_full, waive, grade in drawn
        ]

        outcomes: list[tuple[bool, tuple[Refusal, ...]]] = []
        for start in range(0, len(acts), size):
            outcomes += [(o.changed, o.refusals) for o in execute(acts[start : start + size], actor)]

        assert broken_rows() == []
        changes = EnrollmentEvent.objects.exclude(action=Action.PASS_OVER)
        assert changes.count() == sum(StudentCourse.objects.values_list("version", flat=True))
        assert changes.exclude(action=Action.PROMOTE).count() == sum(changed for changed, _refusals in outcomes)


@pytest.mark.django_db
@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_refuses_to_change_the_journal(actor, act):
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    acts = {
        "update": lambda: EnrollmentEvent.objects.update(reason="never happened"),
        "delete": lambda: EnrollmentEvent.objects.all()._raw_delete("default"),
    }

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        acts[act]()

    assert [event.reason for event in EnrollmentEvent.objects.all()] == [""]


@pytest.mark.django_db
def test_an_inconsistent_journal_is_detected(actor):
    enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor)
    [event] = EnrollmentEvent.objects.all()
    event.pk = None
    event.save()

    with pytest.raises(ValueError, match="begins with"):
        replay(EnrollmentEvent.objects.order_by("pk"))
