"""Files of grades: the import, its undo and the export."""

import io

import pytest
from django.core.management import call_command

from bulk.models import State
from courses.models import Course, Grade
from students.enrollment import complete, enroll
from students.enrollment.commands import OnFull
from students.models import Status, StudentCourse
from tests.support.factories import make_course, make_grade, make_grades, make_student
from tests.support.imports import imported, outcomes

pytestmark = pytest.mark.django_db


def import_grades(*lines, header="grade,passes,rank", **wish):
    return imported("\n".join([header, *lines, ""]), kind="grades", **wish)


def undo(job):
    call_command("undo_import", str(job.pk), stdout=io.StringIO(), stderr=io.StringIO())


def table():
    return list(Grade.objects.order_by("code").values_list("code", "passes", "rank"))


def test_a_file_creates_and_changes_grades():
    make_grade(code="A", rank=1)

    job = import_grades("A,true,40", "B,yes,30", "F,no,")

    assert outcomes(job) == [(2, "updated", []), (3, "created", []), (4, "created", [])]
    assert table() == [("A", True, 40), ("B", True, 30), ("F", False, None)]


def test_a_file_without_ranks_leaves_them_unchanged():
    make_grades("A", "F")

    job = import_grades("A,true", "F,false", "P,true", header="code,passes")

    assert outcomes(job) == [(2, "unchanged", []), (3, "unchanged", []), (4, "created", [])]
    assert table() == [("A", True, 1), ("F", False, None), ("P", True, None)]


def test_two_grades_exchange_their_ranks():
    make_grade(code="A", rank=1)
    make_grade(code="B", rank=2)

    job = import_grades("A,true,2", "B,true,1", "C,true,0")

    assert outcomes(job) == [(2, "updated", []), (3, "updated", []), (4, "created", [])]
    assert table() == [("A", True, 2), ("B", True, 1), ("C", True, 0)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["B,true,3", "C,true,3"], [(2, "created", []), (3, "error", ["unique"])]),
        (["B,true,1"], [(2, "error", ["unique"])]),
        (["A,false,1", "F,false,"], [(2, "error", ["no_passing_grade"]), (3, "created", [])]),
        (["A,false,1", "B,true,3"], [(2, "updated", []), (3, "created", [])]),
        (["A,maybe,1"], [(2, "error", ["invalid"])]),
        (["B,true,-1"], [(2, "error", ["min_value"])]),
        (["B,true,3", "B,false,4"], [(2, "created", []), (3, "error", ["duplicate_row"])]),
    ],
)
def test_rows_with_which_the_table_would_be_invalid_are_refused(lines, expected):
    make_grade(code="A", rank=1)

    assert outcomes(import_grades(*lines, on_error="skip")) == expected


def test_a_new_table_in_which_no_grade_passes_is_refused_as_a_whole():
    job = import_grades("E,false,", "F,false,")

    assert (job.state, table()) == (State.FAILED, [])
    assert outcomes(job) == [(2, "error", ["no_passing_grade"]), (3, "error", ["no_passing_grade"])]


def test_a_minimum_grade_of_prerequisites_stays_comparable():
    make_grades()
    make_course(code="MATH-1")
    make_course(code="MATH-2", prerequisites=[{"course": "MATH-1", "grade": "C"}])

    assert outcomes(import_grades("C,true,")) == [(2, "error", ["grade_in_use"])]


def test_the_undo_restores_the_table():
    make_grade(code="A", rank=1)
    job = import_grades("F,false,", "A,true,4", "B,true,3")

    undo(job)

    assert table() == [("A", True, 1)]


def test_the_undo_of_a_first_table_deletes_the_passing_grades_last():
    job = import_grades("F,false,", "A,true,4")

    undo(job)

    assert table() == []


def test_a_student_who_meets_prerequisites_by_the_new_table_gets_the_seat(actor):
    make_grades("AD", "")
    student, first = make_student(), make_course(code="MATH-1")
    second = make_course(code="MATH-2", capacity=0, waitlist_capacity=5, prerequisites=["MATH-1"])
    enroll(student_id=student.pk, course_id=first.pk, actor=actor)
    complete(student_id=student.pk, course_id=first.pk, grade="D", actor=actor)
    enroll(student_id=student.pk, course_id=second.pk, on_full=OnFull.WAITLIST, actor=actor)
    Grade.objects.filter(code="D").update(passes=False)
    Course.objects.filter(pk=second.pk).update(capacity=1)

    import_grades("D,true,1")

    assert StudentCourse.objects.get(course=second).status == Status.ENROLLED


def test_an_export_imports_unchanged(tmp_path):
    make_grades()
    file = tmp_path / "grades.csv"

    call_command("export_grades", output=str(file))

    assert file.read_text().splitlines()[0] == "grade,passes,rank"
    assert {outcome for _row, outcome, _codes in outcomes(import_grades(*file.read_text().splitlines()[1:]))} == {
        "unchanged"
    }
    call_command("import_grades", str(file), again=True, stdout=io.StringIO())
    assert len(table()) == Grade.objects.count()
