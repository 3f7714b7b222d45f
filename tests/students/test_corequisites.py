"""Corequisites: courses that are taken in the same term or were passed before."""

import pytest
from django.core.management import CommandError, call_command

from courses.models import Course
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, execute, execute_atomic, preview_commands
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, StudentCourse
from tests.support.factories import make_course, make_grades, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported, outcomes

pytestmark = pytest.mark.django_db


@pytest.fixture
def term():
    return make_term(code="2026F")


@pytest.fixture
def lab(term):
    return make_course(code="LAB", term=term, corequisites=["LECTURE"])


@pytest.fixture
def lecture(term):
    return make_course(code="LECTURE", term=term)


def act(student, course, on_full=OnFull.REJECT):
    return EnrollmentCommand(Action.ENROLL, student.pk, course.pk, on_full=on_full)


def is_accepted(student, course, actor):
    return execute([act(student, course)], actor)[0].accepted


def test_a_corequisite_is_an_enrollment_in_the_same_term(lab, lecture, actor):
    student, elsewhere = make_student(), make_course(code="LECTURE", term=make_term())
    enroll(student_id=student.pk, course_id=elsewhere.pk, actor=actor)
    with pytest.raises(Refused, match="LAB requires LECTURE to be taken in the same term or completed before"):
        enroll(student_id=student.pk, course_id=lab.pk, actor=actor)

    enroll(student_id=student.pk, course_id=lecture.pk, actor=actor)

    assert is_accepted(student, lab, actor)


@pytest.mark.parametrize(("grade", "accepted"), [("A", True), ("F", False), ("", True)])
def test_an_earlier_completion_counts_if_it_passes(lab, grade, accepted, actor):
    make_grades()
    student, earlier = make_student(), make_course(code="LECTURE", term=make_term())
    enroll(student_id=student.pk, course_id=earlier.pk, actor=actor)
    complete(student_id=student.pk, course_id=earlier.pk, grade=grade, actor=actor)

    assert is_accepted(student, lab, actor) is accepted


def test_in_a_batch_of_all_or_none_the_other_items_count_in_any_order(lab, lecture, actor):
    lecture.corequisites = ["LAB"]
    lecture.save()
    first, second = make_student(), make_student()

    for student, courses in ((first, (lab, lecture)), (second, (lecture, lab))):
        assert not any(outcome.accepted for outcome in execute([act(student, course) for course in courses], actor))
        outcomes = execute_atomic([act(student, course) for course in courses], actor)
        assert [outcome.accepted for outcome in outcomes] == [True, True]

    assert StudentCourse.objects.enrolled().count() == 4


def test_the_item_of_another_student_is_no_corequisite(lab, lecture, actor):
    outcomes = execute_atomic([act(make_student(), lab), act(make_student(), lecture)], actor)

    assert [outcome.accepted for outcome in outcomes] == [False, True]
    assert not StudentCourse.objects.exists()


def test_a_waitlisted_item_of_a_batch_is_no_corequisite(lab, lecture, actor):
    Course.objects.filter(pk=lecture.pk).update(capacity=0, waitlist_capacity=None)
    student = make_student()

    outcomes = execute_atomic([act(student, lab), act(student, lecture, OnFull.WAITLIST)], actor)

    assert [[refusal.code for refusal in outcome.refusals] for outcome in outcomes] == [["corequisite_missing"], []]
    assert not StudentCourse.objects.exists()


def test_the_batch_of_the_api_enrolls_in_two_courses_that_require_each_other(api, lab, lecture):
    lecture.corequisites = ["LAB"]
    lecture.save()
    student = make_student()
    items = [{"action": "enroll", "student_id": student.pk, "course_id": each.pk} for each in (lab, lecture)]

    answer = api.post("/api/v1/enrollments/batch", {"items": items, "atomic": True}, format="json")

    assert (answer.status_code, StudentCourse.objects.enrolled().count()) == (200, 2)


def test_one_of_a_pair_may_be_dropped_and_the_preview_names_the_other(lab, lecture, actor, registrar_client):
    student = make_student()
    for course in (lecture, lab):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    [left, kept] = StudentCourse.objects.order_by("pk")

    shown = preview_commands([EnrollmentCommand(Action.DROP, student.pk, lecture.pk)], actor)
    assert shown.losing_corequisites == {kept.pk}
    form = {"action": "drop", "index": 0, "_selected_action": [left.pk]}
    page = registrar_client.post("/admin/students/studentcourse/", form, follow=True).content.decode()
    assert "1 other enrollment requires a course that the student leaves, and is not changed: " in page
    assert "LAB@2026F" in page

    drop(student_id=student.pk, course_id=lecture.pk, actor=actor)

    assert [row.status for row in StudentCourse.objects.order_by("pk")] == ["dropped", "enrolled"]


def test_a_student_who_passes_a_corequisite_gets_a_free_seat(lab, lecture, actor):
    Course.objects.filter(pk=lab.pk).update(capacity=1, waitlist_capacity=None)
    student, holder = make_student(), make_student()
    for each in (holder, student):
        enroll(student_id=each.pk, course_id=lecture.pk, actor=actor)
        enroll(student_id=each.pk, course_id=lab.pk, on_full=OnFull.WAITLIST, actor=actor)
    drop(student_id=student.pk, course_id=lecture.pk, actor=actor)
    drop(student_id=holder.pk, course_id=lab.pk, actor=actor)
    assert not StudentCourse.objects.enrolled().filter(course=lab).exists()
    earlier = make_course(code="LECTURE")
    enroll(student_id=student.pk, course_id=earlier.pk, actor=actor)

    complete(student_id=student.pk, course_id=earlier.pk, actor=actor)

    assert StudentCourse.objects.enrolled().get(course=lab).student == student


@pytest.mark.parametrize("many", [False, True])
def test_a_student_who_takes_a_corequisite_gets_a_free_seat_in_the_same_transaction(lab, lecture, many, actor):
    student, other = make_student(), make_student()
    lab.capacity, lab.waitlist_capacity = 0, 5
    lab.save()
    enroll(student_id=student.pk, course_id=lecture.pk, actor=actor)
    enroll(student_id=student.pk, course_id=lab.pk, on_full=OnFull.WAITLIST, actor=actor)
    drop(student_id=student.pk, course_id=lecture.pk, actor=actor)
    Course.objects.filter(pk=lab.pk).update(capacity=1)
    commands = [act(student, lecture), act(other, lecture)] if many else [act(student, lecture)]

    preview = preview_commands(commands, actor)
    before = StudentCourse.objects.get(course=lab).status
    execute(commands, actor)

    assert [effect.enrollment.course_id for effect in preview.side_effects] == [lab.pk]
    assert (before, StudentCourse.objects.get(course=lab).status) == ("waitlisted", "enrolled")


@pytest.mark.parametrize(
    ("codes", "code"),
    [(["NONE"], "course_not_found"), (["LAB"], "invalid"), ([["LECTURE", "X"]], "invalid"), ("LECTURE", "not_a_list")],
)
def test_the_api_refuses_invalid_corequisites(api, lab, lecture, codes, code):
    answer = api.patch(f"/api/v1/courses/{lab.pk}", {"corequisites": codes}, format="json")

    assert answer.status_code == 400
    assert [each["code"] for each in answer.json()["errors"]] == [code]
    assert answer.json()["errors"][0]["field"].startswith("corequisites")


def test_the_api_stores_corequisites_once(api, lab, lecture):
    answer = api.patch(f"/api/v1/courses/{lecture.pk}", {"corequisites": ["LAB", "LAB"]}, format="json")

    assert (answer.status_code, answer.json()["corequisites"]) == (200, ["LAB"])


@pytest.mark.parametrize(
    ("cell", "code"), [("NONE", "course_not_found"), ("B", "invalid"), ("A|B", "invalid"), ("A>=C", "invalid")]
)
def test_a_file_with_invalid_corequisites_is_refused(tmp_path, cell, code):
    file, report = tmp_path / "courses.csv", tmp_path / "report.csv"
    file.write_text(f"course_code,name,level,corequisites\nB,A course,introductory,{cell}\n")

    with pytest.raises(CommandError):
        call_command("import_courses", file, report=str(report))

    assert f"error,{code},corequisites," in report.read_text()
    assert not Course.objects.exists()


def test_a_file_may_have_courses_that_require_each_other(tmp_path):
    file = tmp_path / "courses.csv"
    file.write_text("course_code,name,level,corequisites\nA,A course,introductory,B\nB,A course,introductory,A\n")

    call_command("import_courses", file)

    assert list(Course.objects.order_by("code").values_list("corequisites", flat=True)) == [["B"], ["A"]]


def test_a_new_code_is_stored_in_the_corequisites_of_others_and_they_keep_a_course(api, lab, lecture):
    assert api.patch(f"/api/v1/courses/{lecture.pk}", {"code": "TALK"}, format="json").status_code == 200
    lab.refresh_from_db()
    assert lab.corequisites == ["TALK"]

    answer = api.delete(f"/api/v1/courses/{lecture.pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "is_prerequisite")


@pytest.mark.parametrize(("text", "code"), [("NONE", "course_not_found"), ("C", "invalid"), ("A|B", "invalid")])
def test_the_form_of_the_admin_refuses_invalid_corequisites(admin_client, text, code):
    form = {"code": "C", "name": "A course", "level": "introductory", "waitlist_capacity": 0, "corequisites": text}

    errors = admin_client.post("/admin/courses/course/add/", form).context["adminform"].errors.as_data()

    assert [each.code for each in errors["corequisites"]] == [code]


def row(student, course, status="enrolled"):
    return f"{student.student_number},{course.code},2026F,{status},,\n"


@pytest.mark.parametrize("on_error", ["abort", "skip"])
def test_in_a_file_the_corequisites_count_in_any_order_of_its_rows(on_error, lab, lecture):
    lecture.corequisites = ["LAB"]
    lecture.save()
    students = [make_student() for _each in range(3)]
    rows = [row(students[0], lab), row(students[0], lecture), row(students[1], lecture), row(students[1], lab)]

    job = imported(ENROLLMENTS + "".join(rows), on_error=on_error)

    assert [outcome for _number, outcome, _codes in outcomes(job)] == ["enrolled"] * 4
    assert StudentCourse.objects.enrolled().count() == 4


def test_a_row_in_a_file_whose_corequisite_is_refused_is_refused_too(lab, lecture):
    lecture.capacity = 1
    lecture.save()
    first, second, third = [make_student() for _each in range(3)]
    other = make_course(code="OTHER", term=lab.term, corequisites=["NOWHERE"])
    rows = [row(student, course) for student in (first, second) for course in (other, lab, lecture)]

    job = imported(ENROLLMENTS + "".join([*rows, row(third, lab)]), on_error="skip")

    assert outcomes(job) == [
        (2, "error", ["corequisite_missing"]),
        (3, "enrolled", []),
        (4, "enrolled", []),
        (5, "error", ["corequisite_missing"]),
        (6, "error", ["corequisite_missing"]),
        (7, "error", ["course_full"]),
        (8, "error", ["corequisite_missing"]),
    ]
    taken = StudentCourse.objects.enrolled().order_by("pk").values_list("student", "course__code")
    assert list(taken) == [(first.pk, "LECTURE"), (first.pk, "LAB")]


def test_the_seats_that_were_given_to_corequisites_count_for_the_next_chunk(lab, lecture, monkeypatch):
    monkeypatch.setattr("bulk.importers.import_parts.CHUNK_SIZE", 2)
    lab.capacity = 1
    lab.save()
    first, second = make_student(), make_student()
    rows = [row(first, lab), row(first, lecture), row(second, lecture), row(second, lab)]

    job = imported(ENROLLMENTS + "".join(rows), on_error="abort", review="dry_run")

    assert [(outcome, codes) for _number, outcome, codes in outcomes(job)] == [
        ("enrolled", []),
        ("enrolled", []),
        ("enrolled", []),
        ("error", ["course_full"]),
    ]


def test_a_row_with_a_later_corequisite_is_refused_by_the_rule_that_refuses_it_then(lab, lecture):
    lab.capacity = 1
    lab.save()
    rows = [row(student, course) for student in (make_student(), make_student()) for course in (lab, lecture)]

    job = imported(ENROLLMENTS + "".join(rows), on_error="skip")

    assert [(outcome, codes) for _number, outcome, codes in outcomes(job)] == [
        ("enrolled", []),
        ("enrolled", []),
        ("error", ["course_full"]),
        ("enrolled", []),
    ]
