"""The rule that a student is in only one section of a course in a term."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.api_client_creation import create_api_client
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, enroll_many, preview_commands, promote, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.support.clients import api_client
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def sections():
    """Two sections of a course in a term."""
    term = make_term(code="2026F")
    return [make_course(code="M-1", term=term, section=name, waitlist_capacity=None) for name in ("A", "B")]


def codes_of(act, *args, **fields):
    with pytest.raises(Refused) as refused:
        act(*args, **fields)
    return [refusal.code for refusal in refused.value.refusals]


def statuses(student):
    rows = StudentCourse.objects.filter(student=student).order_by("pk")
    return [(each.course.section, each.status) for each in rows.select_related("course")]


def test_a_student_of_one_section_is_refused_in_another(sections, actor):
    student, (first, second) = make_student(), sections
    enroll(student_id=student.pk, course_id=first.pk, actor=actor)

    with pytest.raises(Refused) as refused:
        enroll(student_id=student.pk, course_id=second.pk, actor=actor)

    [refusal] = refused.value.refusals
    message = "This student is in another section of M-1 already: M-1@2026F@A."
    assert (refusal.code, refusal.message) == ("other_section", message)


def test_a_waitlisted_student_is_refused_in_another_section_too(sections, actor):
    student, (first, second) = make_student(), sections
    type(first).objects.filter(pk=first.pk).update(capacity=0)
    enroll(student_id=student.pk, course_id=first.pk, on_full=OnFull.WAITLIST, actor=actor)

    assert codes_of(enroll, student_id=student.pk, course_id=second.pk, actor=actor) == ["other_section"]
    assert statuses(student) == [("A", "waitlisted")]


def test_sections_of_other_terms_and_other_courses_do_not_count(sections, actor):
    student, (first, second) = make_student(), sections
    others = [
        make_course(code="M-1", term=make_term(), section="A"),
        make_course(code="M-1", section="A"),
        make_course(code="M-2", term=first.term, section="A"),
        make_course(code="M-2", section="A"),
    ]
    outcomes = enroll_many([(student.pk, course.pk) for course in others], actor=actor)
    assert [outcome.accepted for outcome in outcomes] == [True] * 4

    assert enroll(student_id=student.pk, course_id=second.pk, actor=actor).changed


def test_sections_without_a_term_exclude_each_other(actor):
    student = make_student()
    plain, named = make_course(code="M-1"), make_course(code="M-1", section="B")
    enroll(student_id=student.pk, course_id=plain.pk, actor=actor)

    assert codes_of(enroll, student_id=student.pk, course_id=named.pk, actor=actor) == ["other_section"]


@pytest.mark.parametrize("end", [drop, complete])
def test_a_student_who_has_left_a_section_may_take_another(sections, actor, end):
    student, (first, second) = make_student(), sections
    enroll(student_id=student.pk, course_id=first.pk, actor=actor)

    end(student_id=student.pk, course_id=first.pk, actor=actor)

    assert enroll(student_id=student.pk, course_id=second.pk, actor=actor).changed


def test_the_items_of_a_batch_count_in_their_order(sections, actor):
    student, other, (first, second) = make_student(), make_student(), sections
    commands = [(student.pk, first.pk), (student.pk, second.pk), (other.pk, second.pk), (other.pk, first.pk)]

    outcomes = enroll_many(commands, actor=actor)
    previewed = preview_commands([EnrollmentCommand(Action.ENROLL, student.pk, second.pk)], actor)

    assert [outcome.accepted for outcome in outcomes] == [True, False, True, False]
    assert [refusal.code for refusal in previewed.planned_actions[0].outcome.refusals] == ["other_section"]


def test_a_promotion_passes_over_a_student_of_another_section_until_the_student_leaves_it(sections, actor):
    waiting, leaving, (first, second) = make_student(), make_student(), sections
    type(first).objects.filter(pk=first.pk).update(capacity=1)
    for student in (leaving, waiting):
        enroll(student_id=student.pk, course_id=first.pk, on_full=OnFull.WAITLIST, actor=actor)
    waiver: dict[str, Any] = {"waived_codes": ["other_section"], "reason": "both for a week"}

    enroll(student_id=waiting.pk, course_id=second.pk, actor=replace(actor, may_waive=True), **waiver)

    drop(student_id=leaving.pk, course_id=first.pk, actor=actor)
    passed = EnrollmentEvent.objects.latest("pk")
    drop(student_id=waiting.pk, course_id=second.pk, actor=actor)

    assert (passed.action, passed.refusals) == ("pass_over", ["other_section"])
    assert passed.reason == "This student is in another section of M-1 already: M-1@2026F@B."
    assert statuses(waiting) == [("A", "enrolled"), ("B", "dropped")]


def test_an_undo_does_not_reopen_a_second_section(sections, actor):
    student, (first, second) = make_student(), sections
    enroll(student_id=student.pk, course_id=first.pk, actor=actor)
    drop(student_id=student.pk, course_id=first.pk, actor=actor)
    enroll(student_id=student.pk, course_id=second.pk, actor=actor)

    assert codes_of(undo, student_id=student.pk, course_id=first.pk, actor=actor) == ["other_section"]
    undo(student_id=student.pk, course_id=second.pk, actor=actor)
    undo(student_id=student.pk, course_id=first.pk, actor=actor)
    assert statuses(student) == [("A", "enrolled"), ("B", "dropped")]


def test_a_client_of_one_section_does_not_learn_the_other(sections, api):
    student, (first, second) = make_student(), sections
    api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": first.pk})
    keys = create_api_client("limited", "enrollments:write", courses=["M-1@2026F@B"])
    limited = api_client(keys)

    answer = limited.post(f"/api/v1/students/number:{student.student_number}/courses", {"course_id": second.pk})

    assert answer.json()["detail"] == "This student is in another section of M-1 already."


def test_the_rule_costs_no_query_without_sections(sections, actor):
    student, plain = make_student(), make_course()
    lone = make_course(code="M-9", section="A")

    def count(course_id):
        with CaptureQueriesContext(connection) as queries:
            enroll(student_id=make_student().pk, course_id=course_id, actor=actor)
        return len(queries)

    count(plain.pk)  # compiles the statements
    assert count(lone.pk) == count(plain.pk)
    assert count(sections[0].pk) > count(plain.pk)
    promote([plain.pk], actor=actor)
    assert statuses(student) == []
