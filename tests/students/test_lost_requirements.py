"""The previews of a change name the enrollments that require what the student no longer has."""

import pytest

from students.enrollment import complete, enroll, enroll_many, preview_commands
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, StudentCourse
from tests.support.factories import make_course, make_grades, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def term():
    return make_term(code="2026F")


@pytest.fixture
def lecture(term):
    return make_course(code="LECTURE", term=term, section="A")


@pytest.fixture
def lab(term, lecture):
    return make_course(code="LAB", term=term, corequisites=["LECTURE"])


@pytest.fixture
def student(lecture, lab, actor):
    """A student in the lecture, and in the lab that requires it."""
    student = make_student(student_number="S-1")
    enroll_many([(student.pk, lecture.pk), (student.pk, lab.pk)], actor=actor)
    return student


def row_of(student, course):
    return StudentCourse.objects.get(student=student, course=course)


def losing(actor, *commands, together=False):
    preview = preview_commands([EnrollmentCommand(*command) for command in commands], actor, together=together)
    return preview.losing_corequisites


@pytest.mark.parametrize(("grade", "is_lost"), [("C", False), ("", False), ("F", True)])
def test_a_corequisite_that_was_passed_before_is_not_lost(grade, is_lost, lecture, lab, student, actor):
    make_grades()
    earlier = make_course(code="LECTURE", term=make_term(code="2025F"))
    enroll(student_id=student.pk, course_id=earlier.pk, actor=actor)
    complete(student_id=student.pk, course_id=earlier.pk, grade=grade, actor=actor)

    found = losing(actor, (Action.DROP, student.pk, lecture.pk))

    assert found == ({row_of(student, lab).pk} if is_lost else set())


def test_a_corequisite_that_is_taken_in_another_section_is_not_lost(lecture, lab, student, term, actor):
    other, elsewhere = make_course(code="LECTURE", term=term, section="B"), make_course(code="OTHER", term=term)
    swaps = [
        EnrollmentCommand(Action.ENROLL, student.pk, each.pk, instead_of=lecture.pk) for each in (other, elsewhere)
    ]

    found = [preview_commands([each], actor).losing_corequisites for each in swaps]

    assert found == [frozenset(), {row_of(student, lab).pk}]


def test_what_the_student_leaves_too_or_takes_again_is_not_counted(lecture, lab, student, actor):
    leave, leave_lab, join = (
        (Action.DROP, student.pk, lecture.pk),
        (Action.DROP, student.pk, lab.pk),
        (Action.ENROLL, student.pk, lecture.pk),
    )

    found = [losing(actor, *commands) for commands in ([leave], [leave, leave_lab], [leave, join])]

    assert found == [{row_of(student, lab).pk}, set(), set()]


@pytest.mark.parametrize("still_taken", [False, True])
def test_a_worse_grade_counts_the_enrollments_that_stood_on_it_as_a_corequisite(still_taken, api, term, actor):
    make_grades()
    student, passed = make_student(), make_course(code="LECTURE", term=make_term(code="2025F"))
    enroll(student_id=student.pk, course_id=passed.pk, actor=actor)
    complete(student_id=student.pk, course_id=passed.pk, grade="B", actor=actor)
    courses = [make_course(code="LAB", term=term, corequisites=["LECTURE"])]
    courses += [make_course(code="LECTURE", term=term)] * still_taken
    enroll_many([(student.pk, course.pk) for course in courses], actor=actor)
    path = f"/api/v1/students/{student.pk}/courses/{passed.pk}"

    answers = [
        api.patch(path, {"status": "completed", "grade": grade, "dry_run": True}).json()["losing_prerequisites"]
        for grade in ("F", "C")
    ]

    assert answers == [0 if still_taken else 1, 0]
