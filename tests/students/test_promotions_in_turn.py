"""A promotion, or a command in a batch, by which a student qualifies for another course, gives the free seat there."""

from typing import Any

import pytest

from students.enrollment import complete, drop, enroll, execute, preview_commands
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, StudentCourse
from tests.students.test_seats_by_other_courses import REGISTRAR, SEAT, leave, pass_over, statuses, wait, waive
from tests.support.factories import make_course, make_grades, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

pytestmark = pytest.mark.django_db


def wait_for_both(lecture, lab):
    """Let a student wait for two courses, of which the second has a free seat; return who has the seat of the first."""
    student = make_student()
    waive(student, lecture)
    holder_of_lab = wait(student, lab)
    leave(student, lecture)
    holder_of_lecture = wait(student, lecture)
    pass_over(student, lab, holder_of_lab, "corequisite_missing")
    return student, holder_of_lecture


@pytest.mark.parametrize("change", ["drop", "swap", "capacity"])
@pytest.mark.parametrize("lab_is_older", [False, True])
def test_a_promotion_into_a_corequisite_gives_the_free_seat_of_the_course_that_requires_it(change, lab_is_older, api):
    term = make_term()
    order = ["JP", "JL"] if lab_is_older else ["JL", "JP"]
    required = {"JL": [], "JP": ["JL"]}
    courses = {code: make_course(term=term, code=code, corequisites=required[code], **SEAT) for code in order}
    student, holder = wait_for_both(courses["JL"], courses["JP"])

    if change == "drop":
        command = EnrollmentCommand(Action.DROP, holder.pk, courses["JL"].pk)
        preview = preview_commands([command], REGISTRAR)
        assert [effect.enrollment.course.code for effect in preview.side_effects] == ["JL", "JP"]
        drop(student_id=holder.pk, course_id=courses["JL"].pk, actor=REGISTRAR)
    elif change == "swap":
        other = make_course(term=term)
        enroll(student_id=holder.pk, course_id=other.pk, instead_of=courses["JL"].pk, actor=REGISTRAR)
    else:
        assert api.patch(f"/api/v1/courses/{courses['JL'].pk}", {"capacity": 2}).status_code == 200

    assert [statuses(student)[code] for code in ("JL", "JP")] == ["enrolled", "enrolled"]


def latest_statuses(student, *courses):
    rows = StudentCourse.objects.filter(student=student).order_by("pk")
    return [{row.course_id: row.status for row in rows}[course.pk] for course in courses]


def test_a_chain_of_corequisites_is_followed_to_its_end():
    term, student = make_term(), make_student()
    first = make_course(code="A", term=term, **SEAT)
    third = make_course(code="C", term=term, corequisites=["B"], **SEAT)
    second = make_course(code="B", term=term, corequisites=["A"], **SEAT)
    waive(student, first)
    waive(student, second)
    holder_of_third = wait(student, third)
    leave(student, second)
    holder_of_second = wait(student, second)
    leave(student, first)
    holder_of_first = wait(student, first)
    pass_over(student, third, holder_of_third, "corequisite_missing")
    pass_over(student, second, holder_of_second, "corequisite_missing")

    leave(holder_of_first, first)

    assert latest_statuses(student, first, second, third) == ["enrolled"] * 3


def test_two_courses_that_require_each_other_are_looked_at_until_nobody_is_promoted():
    term, student = make_term(), make_student()
    first, second = (
        make_course(code=code, term=term, corequisites=[other], **SEAT) for code, other in (("A", "B"), ("B", "A"))
    )
    waive(student, first, "corequisite_missing")
    holder_of_second = wait(student, second)
    leave(student, first)
    holder_of_first = make_student()
    waive(holder_of_first, first, "corequisite_missing")
    wishes: dict[str, Any] = {"on_full": OnFull.WAITLIST, "waived_codes": ["corequisite_missing"], "reason": "because"}
    enroll(student_id=student.pk, course_id=first.pk, actor=REGISTRAR, **wishes)
    pass_over(student, second, holder_of_second, "corequisite_missing")

    leave(holder_of_first, first)

    assert latest_statuses(student, first, second) == ["enrolled", "enrolled"]


@pytest.mark.parametrize("other", ["refused in the same course", "undo of a grade", "unknown course"])
def test_a_drop_gives_a_seat_for_which_the_student_has_credits_whatever_else_is_in_the_batch(other):
    make_grades()
    term, student, graded = make_term(max_credits=3), make_student(), make_student()
    taken, wanted = (make_course(term=term, credits=3, **SEAT) for _each in range(2))
    passed = make_course()
    waive(graded, passed)
    for grade in ("B", "A"):
        complete(student_id=graded.pk, course_id=passed.pk, grade=grade, actor=REGISTRAR)
    holder = wait(student, wanted)
    waive(student, taken)
    pass_over(student, wanted, holder, "too_many_credits")
    commands = [EnrollmentCommand(Action.DROP, student.pk, taken.pk)]
    if other == "refused in the same course":
        commands.insert(0, EnrollmentCommand(Action.DROP, graded.pk, wanted.pk))
    else:
        commands.insert(0, EnrollmentCommand(Action.UNDO, graded.pk, passed.pk))
    if other == "unknown course":
        commands.insert(0, EnrollmentCommand(Action.DROP, graded.pk, 10**9))

    outcomes = execute(commands, REGISTRAR)

    assert outcomes[-1].changed
    assert latest_statuses(student, taken, wanted) == ["dropped", "enrolled"]


def test_a_corequisite_in_a_later_chunk_of_a_file_gives_the_free_seat_of_a_course_that_is_locked(monkeypatch):
    monkeypatch.setattr("bulk.importers.import_parts.CHUNK_SIZE", 1)
    term, student, leaving = make_term(code="2026F"), make_student(), make_student()
    lecture = make_course(code="JL", term=term)
    lab = make_course(code="JP", term=term, corequisites=["JL"], **SEAT)
    for each in (student, leaving):
        waive(each, lecture)
    holder = wait(student, lab)
    enroll(student_id=leaving.pk, course_id=lab.pk, on_full=OnFull.WAITLIST, actor=REGISTRAR)
    for each in (student, leaving):
        leave(each, lecture)
    leave(holder, lab)
    rows = [f"{leaving.student_number},JP,2026F,dropped,,\n", f"{student.student_number},JL,2026F,enrolled,,\n"]

    imported(ENROLLMENTS + "".join(rows), on_error="abort")

    assert latest_statuses(student, lecture, lab) == ["enrolled", "enrolled"]
